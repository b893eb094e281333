/** Toxiproxy: faults between a client and any of the other servers, set through its HTTP interface. */
import { request } from "./http.ts";
import { HOST, type Server } from "./server.ts";
import { TOXIPROXY } from "./versions.ts";

export const toxiproxy: Server<"toxiproxy"> = {
  name: "toxiproxy",
  recipe: TOXIPROXY,
  async prepare({ freePort }) {
    const port = await freePort();
    const endpoint = `http://${HOST}:${port}`;
    return {
      args: ["-host", HOST, "-port", String(port)],
      port,
      service: { endpoint },
      ready: async () => {
        await request(`${endpoint}/proxies`);
      },
    };
  },
};
