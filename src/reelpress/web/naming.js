// What an address or a card names, as the service has it.

import { askJson } from "./service.js";

/**
 * The {exported, video} that an id of one of them names: no export where a video has no draft yet, and no video where it
 * was deleted since. Throws Problem.
 */
export async function readNamed(named) {
  const exported = named.export ? await askJson(`v1/exports/${encodeURIComponent(named.export)}`) : await draftOf(named.video);
  const video = await askJson(`v1/videos/${encodeURIComponent(exported?.video ?? named.video)}`).catch((error) => {
    if (error.status === 404 && exported && exported.status !== "draft") return null; // its clips stay
    throw error;
  });
  return { exported, video };
}

async function draftOf(video) {
  const { exports } = await askJson(`v1/exports?video=${encodeURIComponent(video)}&limit=20`);
  const draft = exports.find((one) => one.status === "draft");
  return draft ? askJson(`v1/exports/${draft.id}`) : null; // the list leaves framing and captions out
}
