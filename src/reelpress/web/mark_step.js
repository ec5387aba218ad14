// Step 2: the player, the timeline and the list of clips, and the keys that work on them.

import { ClipList } from "./clip_list.js";
import { button, byId, mark, write } from "./dom.js";
import { LEAST_S, MOST_S } from "./draft.js";
import { icon } from "./icons.js";
import { Timeline } from "./timeline.js";
import { clock, round } from "./times.js";

const NEW_S = 30; // a new clip, unless less is left
const UNDO_MS = 10_000;

export class MarkStep {
  #page;
  #list;
  #undo = null;
  #undoTimer;
  #buttons = {};
  timeline;

  constructor(page) {
    this.#page = page;
    const { player } = page;
    this.#list = new ClipList({
      select: (id) => this.open(id), change: (id, fields) => page.draft.change(id, fields),
      edge: (id, side, t) => this.#put(id, side, t), here: (id, side) => this.#put(id, side, player.at),
      nudge: (id, side, by) => this.#edge(id, side, page.draft.find(id)[`${side}_s`] + (by.s ?? by.frames / player.fps)),
      play: (id) => this.play(id), copy: (id) => this.#copy(id), remove: (id) => this.remove(id),
    });
    this.timeline = new Timeline({
      at: () => player.at, seek: (t) => this.#scrub(t), select: (id) => page.select(id),
      change: (id, fields) => page.studio.retime(id, fields), create: (start, end) => this.#create(start, end), find: (id) => page.draft.find(id),
    });
    byId("new-clip").addEventListener("click", () => this.make());
    byId("mark-in").addEventListener("click", () => this.markIn());
    byId("mark-out").addEventListener("click", () => this.markOut());
    byId("undo-do").addEventListener("click", () => this.#restore());
    this.#transport();
  }

  show() {
    const { draft, selected, video, player } = this.#page;
    this.timeline.show({
      clips: draft.clips, selected, cuts: video.preview.cuts_s ?? [], duration: player.duration, fps: player.fps, sprites: this.#page.studio.sprites,
    });
    this.#list.show(draft.clips, selected);
  }

  /** Called when the playhead moved. */
  moved() {
    const { player } = this.#page;
    write(byId("clock-now"), clock(player.at));
    write(byId("clock-all"), `/ ${clock(player.duration, 0)}`);
    this.timeline.moved(player.isPlaying);
  }

  /** Called when it plays or stands. */
  state() {
    const { player } = this.#page;
    const { play, mute } = this.#buttons;
    const words = player.isPlaying ? "Pause" : "Play";
    if (play.title !== words) {
      play.title = words;
      mark(play, "aria-label", words);
      play.replaceChildren(icon(player.isPlaying ? "pause" : "play"));
    }
    const { muted } = player.video;
    mark(mute, "aria-pressed", muted);
    mute.replaceChildren(icon(muted ? "mute" : "sound"));
    const fast = player.speed !== 0 && player.speed !== 1;
    byId("speed").hidden = !fast;
    if (fast) write(byId("speed"), `${player.speed}×`);
  }

  /** Keys of this step, by name. */
  keys() {
    const { player } = this.#page;
    return {
      i: () => this.markIn(), o: () => this.markOut(), n: () => this.make(),
      Delete: () => this.#page.selected && this.remove(this.#page.selected), Backspace: () => this.#page.selected && this.remove(this.#page.selected),
      ArrowUp: () => this.#cut(-1), ArrowDown: () => this.#cut(1), Home: () => player.seek(0), End: () => player.seek(player.duration),
      "+": () => this.timeline.zoom(0.5), "=": () => this.timeline.zoom(0.5), "-": () => this.timeline.zoom(2),
      s: () => this.#snap(), u: () => this.#restore(),
    };
  }

  /** A new clip from the playhead on. */
  make() {
    const { player } = this.#page;
    const made = this.#create(player.at, player.at + NEW_S);
    if (!made) return;
    this.#page.redrawNow();
    this.#list.focusName(made);
  }

  /** The selected clip begins at the playhead; without one, or behind its end, a new one does. */
  markIn() {
    const { clip, player } = this.#page;
    if (clip && player.at < clip.end_s - LEAST_S) this.#edge(clip.id, "start", player.at);
    else this.#create(player.at, player.at + NEW_S);
    this.#page.say(`In at ${clock(player.at)}.`);
  }

  markOut() {
    const { clip, player } = this.#page;
    const { at } = player; // the playhead goes on to the clip's last picture
    if (clip && at > clip.start_s + LEAST_S) this.#edge(clip.id, "end", at);
    else this.#create(Math.max(at - NEW_S, 0), at);
    this.#page.say(`Out at ${clock(at)}.`);
  }

  play(id) {
    const clip = this.#page.draft.find(id);
    this.#page.select(id);
    this.#page.player.seek(clip.start_s);
    this.#page.player.play();
  }

  open(id) {
    const { draft, player } = this.#page;
    const again = this.#page.selected === id;
    this.#page.select(again ? "" : id);
    if (!again) player.seek(draft.find(id).start_s);
  }

  remove(id) {
    const { draft } = this.#page;
    const at = draft.clips.findIndex((clip) => clip.id === id);
    const clip = draft.clips[at];
    this.#undo = { draft, clip, at };
    draft.remove(id);
    this.#page.select(draft.clips[Math.min(at, draft.clips.length - 1)]?.id ?? "");
    write(byId("undo-words"), `${clip.name || "The clip"} is deleted.`);
    byId("undo").hidden = false;
    clearTimeout(this.#undoTimer);
    this.#undoTimer = setTimeout(() => this.forget(), UNDO_MS);
    this.#page.say(`${clip.name || "The clip"} is deleted. Press U to undo.`);
  }

  #restore() {
    if (!this.#undo) return;
    const { draft, clip, at } = this.#undo;
    draft.add(clip, at); // into the one that it was in, though another may be open by now
    if (draft === this.#page.draft) this.#page.select(clip.id);
    this.#page.say(`${clip.name || "The clip"} is back.`);
    this.forget();
  }

  /** Undo that deletion no more. */
  forget() {
    if (byId("undo").contains(document.activeElement)) byId("new-clip").focus();
    this.#undo = null;
    byId("undo").hidden = true;
  }

  /** Make a clip of at least `LEAST_S`, inside of the video; returns its id, or null if there are too many. */
  #create(start, end) {
    const { draft } = this.#page;
    if (draft.clips.length >= (this.#page.info.max_clips ?? 100)) {
      this.#page.say(`There cannot be more than ${draft.clips.length} clips.`);
      return null;
    }
    const names = new Set(draft.clips.map((clip) => clip.name));
    let number = draft.clips.length + 1;
    while (names.has(`Clip ${number}`)) number += 1;
    const { duration } = this.#page.player;
    const from = Math.max(Math.min(start, duration - LEAST_S), 0);
    const clip = draft.add({ name: `Clip ${number}`, start_s: round(from), end_s: round(Math.min(Math.max(end, from + LEAST_S), duration)) });
    this.#page.select(clip.id);
    return clip.id;
  }

  #copy(id) {
    const { draft } = this.#page;
    const { id: _, ...clip } = draft.find(id);
    const made = draft.add({ ...clip, name: `${clip.name} copy`.trim().slice(0, 80) }, draft.clips.findIndex((one) => one.id === id) + 1);
    this.#page.select(made.id);
    this.#page.redrawNow();
    this.#list.focusName(made.id);
  }

  /** Put an edge exactly where it was said; the other one goes along where it would be passed. */
  #put(id, side, t) {
    const clip = this.#page.draft.find(id);
    const { duration } = this.#page.player;
    const length = clip.end_s - clip.start_s;
    if (side === "start" ? t > clip.end_s - LEAST_S : t < clip.start_s + LEAST_S) {
      const start = Math.max(Math.min(side === "start" ? t : t - length, duration - LEAST_S), 0);
      this.#page.studio.retime(id, { start_s: start, end_s: Math.min(Math.max(side === "start" ? t + length : t, start + LEAST_S), duration) });
    }
    this.#edge(id, side, t);
  }

  #edge(id, side, t) {
    const clip = this.#page.draft.find(id);
    const { duration, fps } = this.#page.player;
    if (side === "start") this.#page.studio.retime(id, { start_s: Math.min(Math.max(t, 0), clip.end_s - LEAST_S) });
    else this.#page.studio.retime(id, { end_s: Math.max(Math.min(t, duration), clip.start_s + LEAST_S) });
    const now = this.#page.draft.find(id);
    const isLongest = now.end_s - now.start_s > MOST_S - 0.001;
    if (isLongest && Math.abs(now[`${side}_s`] - t) > 0.001) this.#page.say("A clip lasts an hour at most.");
    this.#scrub(side === "start" ? now.start_s : Math.max(now.end_s - 1 / fps, 0)); // the last picture, not the one after
  }

  #scrub(t) {
    const { player } = this.#page;
    if (player.isPlaying) player.pause();
    player.seek(t);
  }

  #cut(direction) {
    const { player, video } = this.#page;
    const cuts = video.preview.cuts_s ?? [];
    const to = direction > 0 ? cuts.find((cut) => cut > player.at + 0.01) : cuts.findLast((cut) => cut < player.at - 0.01);
    this.#scrub(to ?? (direction > 0 ? player.duration : 0));
  }

  #snap() {
    byId("snap").checked = !byId("snap").checked;
    this.#page.say(`Snapping is ${byId("snap").checked ? "on" : "off"}.`);
  }

  #transport() {
    const { player } = this.#page;
    const make = (name, words, picture, does) => {
      this.#buttons[name] = button(words, does, { picture: icon(picture), alone: true, class: "square" });
      return this.#buttons[name];
    };
    byId("transport-buttons").append(
      make("second-back", "1 second back", "first", () => player.seek(player.at - 1)), make("frame-back", "1 frame back", "back", () => player.step(-1)),
      make("play", "Play", "play", () => player.toggle()), make("frame-on", "1 frame on", "next", () => player.step(1)),
      make("second-on", "1 second on", "last", () => player.seek(player.at + 1)),
      make("mute", "Mute", "sound", () => this.mute()),
    );
    this.#buttons.play.classList.add("play-button");
  }

  mute() {
    const { video } = this.#page.player;
    video.muted = !video.muted;
  }
}
