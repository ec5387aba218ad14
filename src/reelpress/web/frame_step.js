// Step 3: how each shot of a clip is framed, and changing it by hand.

import { isOpen } from "./analyses.js";
import { button, byId, choose, keep, make, mark, radios, write } from "./dom.js";
import { aspectOf, middleAt, shotAt, warningsOf, windowShares } from "./framing.js";
import { icon } from "./icons.js";
import { centred, fitted, isByHand, moved, relaid, replaced, unset, withHand, zoomed } from "./reframing.js";
import { clock } from "./times.js";
import { count, sentence } from "./words.js";

const LAYOUTS = [["auto", "Auto"], ["still", "Still"], ["track", "Follow"], ["fit", "Fit"], ["split", "Split"]];
const NAMES = Object.fromEntries(LAYOUTS);
const RULES = {
  faces: "placed by faces", motion: "placed by movement", centre: "in the middle", whole: "the whole width fits", hand: "set by hand",
};

export class FrameStep {
  #page;
  #pane = 0;
  #layout;
  #shotLayout;
  #panes;
  #error = make("p", { class: "error", role: "alert" });

  /** `page` is the wizard: its clip, draft, analyses, player and redraw(). */
  constructor(page) {
    this.#page = page;
    this.#layout = radios("Layout of the clip", "layout", LAYOUTS, (layout) => this.#setLayout(layout));
    this.#shotLayout = radios("Layout of this shot", "shot-layout", LAYOUTS.slice(1), (layout) => this.#relay(layout));
    this.#panes = radios("Half", "pane", [["0", "Upper"], ["1", "Lower"]], (pane) => this.pane(Number(pane)));
    byId("clip-layout").append(this.#layout);
    byId("shot-layout").append(this.#shotLayout, this.#panes, this.#error);
    for (const name of ["across", "down"]) byId(name).addEventListener("input", () => this.#place());
    byId("zoom").addEventListener("input", () => this.#edit((shot) => zoomed(shot, this.#pane, Number(byId("zoom").value))));
    byId("automatic").addEventListener("click", () => this.#automatic());
    byId("look-again").addEventListener("click", () => this.#page.analyses.again(this.#page.clip, this.#page.clip.layout, this.#page.size));
  }

  /** The framing that is shown and exported: what is kept in the clip, else what was found, else the middle. */
  framing(clip) {
    const found = this.#page.analyses?.framing(clip, clip.layout, this.#page.size)?.framing;
    return clip.framing ?? found ?? centred(clip.start_s, clip.end_s);
  }

  /** Ask where the windows go in clips that have no framing of this stretch, and keep what was found in them. */
  settle(clips) {
    for (const clip of clips) {
      const known = this.#page.analyses.framing(clip, clip.layout, this.#page.size);
      if (known?.framing && !clip.framing) this.#page.draft.change(clip.id, { framing: known.framing });
      else if (known?.framing && this.#page.studio.loosened.has(clip.id)) this.#page.draft.change(clip.id, { framing: withHand(known.framing, clip.framing) });
      else if (!clip.framing || this.#page.studio.loosened.has(clip.id)) this.#page.analyses.askFraming(clip, clip.layout, this.#page.size);
      if (known?.framing) this.#page.studio.loosened.delete(clip.id);
    }
  }

  /** What a clip's framing becomes when its times change: what hands set is kept, the rest is found anew. */
  retimed(clip, start, end) {
    return isByHand(clip.framing) ? fitted(clip.framing, start, end) : null;
  }

  pane(n) {
    this.#pane = n;
    this.#controls();
  }

  show() {
    const { clip } = this.#page;
    if (!clip) return;
    const framing = this.framing(clip);
    choose(this.#layout, clip.layout);
    this.#state(clip, framing);
    const length = clip.end_s - clip.start_s;
    keep(byId("shots"), framing.shots.map((shot, n) => ({ shot, n })), ({ n }) => String(n), ({ n }) => this.#strip(n), (element, { shot, n }) => {
      const part = element.firstElementChild;
      element.style.flexGrow = String((shot.end_s - shot.start_s) / length);
      mark(part, "aria-label", `Shot ${n + 1} at ${clock(shot.start_s)}: ${NAMES[shot.layout]}, ${RULES[shot.rule]}`);
      mark(part, "data-rule", shot.rule);
      write(part.firstElementChild, NAMES[shot.layout]);
      mark(part, "aria-pressed", shot === this.#shot(framing));
    });
    this.#controls();
  }

  /** Called when the picture moved. */
  moved() {
    const { clip } = this.#page;
    if (!clip) return;
    const framing = this.framing(clip);
    const index = framing.shots.indexOf(this.#shot(framing));
    const on = byId("shots").querySelector("[aria-pressed=true]")?.parentElement.dataset.key;
    if (on !== String(index)) this.show();
    const head = byId("shots-head");
    const share = (this.#page.player.shown - clip.start_s) / (clip.end_s - clip.start_s);
    head.style.left = `${Math.min(Math.max(share, 0), 1) * 100}%`;
  }

  /** Put the middle of a window somewhere: all three ways to re-frame end here. */
  move(pane, x, y) {
    this.#pane = pane;
    this.#edit((shot) => {
      const shares = this.#shares(shot);
      const inside = [x, y].map((at, n) => Math.min(Math.max(at, shares[n] / 2), 1 - shares[n] / 2));
      return moved(shot, pane, this.#page.player.shown, ...inside);
    });
  }

  #shot(framing, t = this.#page.player.shown) {
    return shotAt(framing, t, this.#page.player.fps);
  }

  #shares(shot) {
    const { size, aspect } = this.#page;
    return windowShares(aspect, aspectOf(shot.layout, size.width, size.height), shot.windows[this.#pane]?.zoom ?? 1);
  }

  #strip(n) {
    const part = button("", () => {
      const { clip, player } = this.#page;
      player.pause();
      player.seek(Math.max(player.pictureAt(this.framing(clip).shots[n].start_s + 0.5 / player.fps), clip.start_s));
    }, { class: "shot" });
    return make("li", {}, part);
  }

  #state(clip, framing) {
    const known = this.#page.analyses.framing(clip, clip.layout, this.#page.size);
    const failed = known && !isOpen(known) && known.status !== "done";
    const words = isOpen(known)
      ? `Looking at the pictures… ${Math.floor(known.percent ?? 0)} %`
      : failed ? `The pictures could not be looked at: ${known.error?.text ?? known.status}` : this.#summary(framing);
    write(byId("framing-state"), words);
    mark(byId("framing-state"), "data-state", isOpen(known) ? "open" : failed ? "failed" : "done");
    byId("look-again").hidden = !failed;
    const warnings = warningsOf(framing);
    byId("framing-warnings").replaceChildren(...warnings.map((text) => make("li", {}, icon("warn"), make("span", {}, sentence(text)))));
  }

  #summary(framing) {
    const by = framing.detector ? `, faces by ${framing.detector}` : "";
    return `${count(framing.shots.length, "shot")}${by}`;
  }

  #controls() {
    const { clip, player } = this.#page;
    if (!clip) return;
    const framing = this.framing(clip);
    const shot = this.#shot(framing);
    if (this.#pane >= Math.max(shot.windows.length, 1)) this.#pane = 0;
    const people = shot.subjects ? `, ${shot.subjects} ${shot.subjects === 1 ? "person" : "people"}` : "";
    write(byId("shot-title"), `Shot ${framing.shots.indexOf(shot) + 1} of ${framing.shots.length}`);
    write(byId("shot-rule"), `${clock(shot.start_s)} – ${clock(shot.end_s)}, ${RULES[shot.rule]}${people}`);
    choose(this.#shotLayout, shot.layout);
    choose(this.#panes, String(this.#pane));
    this.#panes.hidden = shot.layout !== "split";
    const window = shot.windows[this.#pane];
    const shares = this.#shares(shot);
    const middle = window ? middleAt(window, player.shown, shares) : [0.5, 0.5];
    ["across", "down"].forEach((name, n) => {
      const input = byId(name);
      input.disabled = !window || shares[n] >= 0.9995;
      input.min = shares[n] / 2;
      input.max = 1 - shares[n] / 2;
      input.value = middle[n];
      mark(input, "aria-valuetext", `${Math.round(middle[n] * 100)} percent`);
      write(byId(`${name}-value`), `${Math.round(middle[n] * 100)} %`);
    });
    byId("zoom").disabled = !window;
    byId("zoom").value = window?.zoom ?? 1;
    mark(byId("zoom"), "aria-valuetext", `${(window?.zoom ?? 1).toFixed(2)} times`);
    write(byId("zoom-value"), `${(window?.zoom ?? 1).toFixed(2)}×`);
    mark(byId("automatic"), "aria-disabled", shot.rule !== "hand");
  }

  #place() {
    this.move(this.#pane, Number(byId("across").value), Number(byId("down").value));
  }

  /** Change the shot of a time. */
  #edit(change, t) {
    this.#change((framing, index) => replaced(framing, index, change(framing.shots[index])), t);
  }

  /** Change a framing, which is told the place of the shot of a time. */
  #change(change, t = this.#page.player.shown) {
    const { clip, draft, analyses, size, studio } = this.#page;
    if (!clip.framing && !analyses.framing(clip, clip.layout, size)?.framing) studio.loosened.add(clip.id); // a hand was faster
    const framing = fitted(this.framing(clip), clip.start_s, clip.end_s);
    const index = framing.shots.indexOf(this.#shot(framing, t));
    if (!framing.shots[index]) return;
    draft.change(clip.id, { framing: change(framing, index) });
    this.#page.redraw();
  }

  #setLayout(layout) {
    const { clip, draft, analyses, size } = this.#page;
    draft.change(clip.id, { layout, framing: null }); // a layout for the clip is one for every shot of it
    analyses.askFraming({ ...clip, layout }, layout, size, { soon: true });
    this.#page.redraw();
  }

  #relay(layout) {
    const { clip, analyses, player, size } = this.#page;
    const found = analyses.framing(clip, layout, size)?.framing;
    this.#edit((shot) => relaid(shot, layout, found && this.#shot(found), this.#page));
    if (!found && layout !== "fit") this.#askFor(clip, layout, player.shown);
  }

  /** A shot was laid out anew by hand: once analysis says where the windows go in that layout, they go there. */
  async #askFor(clip, layout, t) {
    const { analyses, draft, size } = this.#page;
    analyses.askFraming(clip, layout, size, { by: `${clip.id} ${layout}`, soon: true });
    const before = JSON.stringify(this.#shot(this.framing(draft.find(clip.id)), t));
    await this.#page.until(() => !isOpen(analyses.framing(clip, layout, size)) && analyses.framing(clip, layout, size));
    const now = draft.find(clip.id);
    const found = analyses.framing(clip, layout, size)?.framing;
    if (!now?.framing || !found) return;
    const index = now.framing.shots.indexOf(this.#shot(now.framing, t));
    const shot = now.framing.shots[index];
    if (JSON.stringify(shot) !== before) return; // a hand was faster
    draft.change(clip.id, { framing: replaced(now.framing, index, relaid(shot, layout, this.#shot(found, t), this.#page)) });
    this.#page.redraw();
  }

  async #automatic() {
    const { clip, analyses, player, size } = this.#page;
    if (byId("automatic").getAttribute("aria-disabled") === "true") return;
    const t = player.shown;
    analyses.askFraming(clip, clip.layout, size, { soon: true });
    await this.#page.until(() => analyses.framing(clip, clip.layout, size) && !isOpen(analyses.framing(clip, clip.layout, size)));
    const found = analyses.framing(clip, clip.layout, size)?.framing ?? centred(clip.start_s, clip.end_s);
    if (this.#page.clip?.id !== clip.id) return;
    this.#change((framing, index) => unset(framing, index, found), t); // it may have gone on
    this.#page.say("The shot is framed automatically again.");
  }
}
