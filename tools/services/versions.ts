/**
 * Where each server comes from, and which version: the newest that works, exactly. Debian's packages are as new as
 * the machine's Debian; Debian 12 has rclone 1.60, OpenSSH 9.2 and Apache 2.4.
 */

/** A Go program that `go install` builds. */
export interface GoRecipe {
  readonly kind: "go";
  /** Its name in `bin`. */
  readonly program: string;
  readonly package: string;
  readonly version: string;
}

/** A Go program that refuses `go install`, built as a tool of a module of our own. */
export interface GoModuleRecipe extends Omit<GoRecipe, "kind"> {
  readonly kind: "go-module";
}

export interface NpmRecipe {
  readonly kind: "npm";
  readonly package: string;
  readonly version: string;
  /** Its entry file inside the package. */
  readonly main: string;
}

export interface DebianRecipe {
  readonly kind: "debian";
  readonly packages: readonly string[];
  /** Absolute path of the program that must be there. */
  readonly program: string;
}

export type Recipe = GoRecipe | GoModuleRecipe | NpmRecipe | DebianRecipe;

export const VERSITYGW: GoRecipe = {
  kind: "go",
  program: "versitygw",
  package: "github.com/versity/versitygw/cmd/versitygw",
  version: "v1.8.0",
};

export const FAKE_GCS_SERVER: GoRecipe = {
  kind: "go",
  program: "fake-gcs-server",
  package: "github.com/fsouza/fake-gcs-server",
  version: "v1.56.1",
};

export const NATS_SERVER: GoRecipe = {
  kind: "go",
  program: "nats-server",
  package: "github.com/nats-io/nats-server/v2",
  version: "v2.15.2",
};

export const AZURITE: NpmRecipe = {
  kind: "npm",
  package: "azurite",
  version: "3.37.0",
  main: "dist/src/blob/main.js",
};

export const RCLONE: DebianRecipe = {
  kind: "debian",
  packages: ["rclone"],
  program: "/usr/bin/rclone",
};

export const OPENSSH: DebianRecipe = {
  kind: "debian",
  packages: ["openssh-server"],
  program: "/usr/sbin/sshd",
};

/** The program and its modules alone, without the package that sets up a service. */
export const APACHE: DebianRecipe = {
  kind: "debian",
  packages: ["apache2-bin"],
  program: "/usr/sbin/apache2",
};

export const ETCD: GoModuleRecipe = {
  kind: "go-module",
  program: "etcd",
  package: "go.etcd.io/etcd/server/v3",
  version: "v3.7.3",
};

/** Later versions cannot be had as modules; sessions and keys are as in today's API. */
export const CONSUL: GoModuleRecipe = {
  kind: "go-module",
  program: "consul",
  package: "github.com/hashicorp/consul",
  version: "v1.5.3",
};

/** Its releases carry no module version: the newest commit that the module proxy knows. */
export const MINIO: GoRecipe = {
  kind: "go",
  program: "minio",
  package: "github.com/minio/minio",
  version: "v0.0.0-20260212201848-7aac2a2c5b7c",
};

export const TOXIPROXY: GoRecipe = {
  kind: "go",
  program: "toxiproxy",
  package: "github.com/Shopify/toxiproxy/v2/cmd/server",
  version: "v2.5.0",
};
