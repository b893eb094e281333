#!/usr/bin/env node
/*
 * The `millrace` command. It says what it needs on a Node.js that is too old to read the rest, so this
 * file keeps to old syntax. In a clone it runs the TypeScript source, in an installed package the build.
 */
"use strict";

var fs = require("fs");
var path = require("path");
var url = require("url");

var NEEDED_MAJOR = 24;
var SOURCE = path.join(__dirname, "..", "src", "cli", "main.ts");
var BUILT = path.join(__dirname, "..", "dist", "cli", "main.js");

function start() {
  var major = parseInt(process.versions.node, 10);
  if (!(major >= NEEDED_MAJOR)) {
    fail("needs Node.js " + NEEDED_MAJOR + " or newer: this is " + process.version);
    return;
  }
  var main = fs.existsSync(SOURCE) ? SOURCE : BUILT;
  if (!fs.existsSync(main)) {
    fail("is not complete: " + main + ' is missing, "npm run build" in a clone creates it');
    return;
  }
  import(url.pathToFileURL(main).href).catch(function (error) {
    process.exitCode = 70;
    process.stderr.write("millrace: cannot start: " + ((error && error.stack) || error) + "\n");
  });
}

function fail(text) {
  process.exitCode = 2;
  process.stderr.write("millrace " + text + "\n");
}

start();
