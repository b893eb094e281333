/** Google Cloud Storage: fake-gcs-server, its objects in memory. */
import { BUCKET, request } from "./http.ts";
import { HOST, type Server } from "./server.ts";
import { FAKE_GCS_SERVER } from "./versions.ts";

const PROJECT = "millrace-test";

export const fakeGcsServer: Server<"gcs"> = {
  name: "gcs",
  recipe: FAKE_GCS_SERVER,
  async prepare({ freePort }) {
    const port = await freePort();
    const endpoint = `http://${HOST}:${port}`;
    const listen = ["-scheme", "http", "-host", HOST, "-port", String(port)];
    return {
      args: [
        ...listen,
        "-public-host",
        `${HOST}:${port}`,
        "-external-url",
        endpoint,
        "-backend",
        "memory",
      ],
      port,
      service: { endpoint, projectId: PROJECT, bucket: BUCKET },
      ready: async () => {
        await request(`${endpoint}/storage/v1/b?project=${PROJECT}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ name: BUCKET }),
          accept: [409],
        });
      },
    };
  },
};
