// The video as it is watched while clips are cut: play, shuttle, frames, and what picture is on the screen.

const SPEEDS = [1, 2, 4, 8];
const EARLY_FRAMES = 0.05;
const LEAST_S = 1 / 30; // how long a picture of the small copy lasts at least, as in preview/graph.py
const REVERSE_MS = 120; // between the pictures of a video that runs backwards

export class Player {
  #video;
  #at = 0; // where the playhead was put, kept exactly while it stands
  #runs = false; // until it is stopped here: a browser stops a video by itself, too
  #stretch = null;
  #reverse = 0;
  #timer;
  fps = 25;
  duration = 0;
  /** When the picture that is on the screen begins. */
  shown = 0;

  /** `onMove` hears that the playhead or the picture moved, `onState` that it plays, stands or cannot. */
  constructor(video, { onMove, onState }) {
    this.#video = video;
    this.onMove = onMove;
    this.onState = onState;
    for (const kind of ["play", "pause", "ended", "ratechange", "volumechange", "error", "loadeddata"]) {
      video.addEventListener(kind, () => onState());
    }
    for (const kind of ["seeked", "timeupdate", "loadeddata"]) video.addEventListener(kind, () => this.#moved());
    video.addEventListener("play", () => (this.#runs = !video.paused)); // it may have been stopped since
    video.addEventListener("pause", () => this.#stopped());
    this.#watch();
  }

  get video() {
    return this.#video;
  }

  load(address, { fps, duration }) {
    this.fps = fps || 25;
    this.duration = duration;
    if (this.#video.getAttribute("src") === address) return;
    this.#stopReverse();
    this.#runs = false;
    this.#at = this.shown = 0; // not where the playhead was in the video before
    this.#video.src = address;
  }

  get isPlaying() {
    return !this.#video.paused || this.#reverse !== 0;
  }

  get at() {
    return this.isPlaying ? this.#video.currentTime : this.#at;
  }

  /** How fast it runs; less than 0 is backwards, 0 is not at all. */
  get speed() {
    return this.#reverse ? -this.#reverse : this.#video.paused ? 0 : this.#video.playbackRate;
  }

  /** Play only this stretch, again and again; null plays the whole. */
  loop(stretch) {
    this.#stretch = stretch;
  }

  play(speed = 1) {
    this.#stopReverse();
    const [from, to] = this.#stretch ?? [0, this.duration];
    if (this.at >= to - 0.05 || this.at < from - 0.05) this.seek(from);
    this.#video.playbackRate = speed;
    this.#video.play().catch(() => this.onState()); // not ready yet, or a browser that wants a click first
  }

  pause() {
    const at = this.#video.currentTime;
    const wasPlaying = this.isPlaying;
    this.#stopReverse();
    this.#runs = false;
    this.#video.pause();
    if (wasPlaying) this.#at = this.pictureAt(at);
    this.#video.playbackRate = 1;
    this.onState();
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  seek(t) {
    this.#at = Math.min(Math.max(t, 0), this.duration);
    this.#video.currentTime = Math.min(this.#at + 0.001, this.duration); // never the picture before, for want of a digit
    this.onMove();
  }

  /** Go on by frames, on the source's own grid. */
  step(frames) {
    this.pause();
    this.seek(this.pictureAt(this.at) + frames / this.fps);
  }

  /** Faster in a direction with every call, as J and L do. */
  shuttle(direction) {
    const now = this.speed * direction;
    const next = now > 0 ? SPEEDS[Math.min(SPEEDS.indexOf(now) + 1, SPEEDS.length - 1)] : 1;
    if (direction > 0) {
      this.play(next);
      return;
    }
    this.#runs = false;
    this.#video.pause();
    this.#at = this.#video.currentTime;
    this.#reverse = next;
    this.#backwards();
    this.onState();
  }

  #backwards() {
    clearTimeout(this.#timer);
    const least = this.#stretch?.[0] ?? 0;
    this.#timer = setTimeout(() => {
      this.seek(Math.max(this.#at - (this.#reverse * REVERSE_MS) / 1000, least));
      if (this.#at <= least) this.pause();
      else this.#backwards();
    }, REVERSE_MS);
  }

  #stopReverse() {
    clearTimeout(this.#timer);
    this.#reverse = 0;
  }

  /** The video stands: at its end, or by a media key, unless it was stopped here and the playhead is known. */
  #stopped() {
    if (!this.#runs || !this.#video.paused) return;
    this.#runs = false;
    this.#at = this.#video.ended ? this.duration : this.pictureAt(this.#video.currentTime);
    this.onMove();
  }

  /** When the picture that is seen at a time begins; a little less is for want of digits, as in plan/clip_clock.py. */
  pictureAt(t) {
    return Math.floor(t * this.fps + EARLY_FRAMES) / this.fps;
  }

  /** Called for every new picture; where a browser cannot tell, for every one that it draws. */
  #watch() {
    const video = this.#video;
    if (video.requestVideoFrameCallback) {
      const next = (_now, { mediaTime }) => {
        this.#picture(mediaTime);
        video.requestVideoFrameCallback(next);
      };
      video.requestVideoFrameCallback(next);
      return;
    }
    const next = () => {
      if (!video.paused) this.#moved();
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  /** The playhead is elsewhere: unless that is still the picture that the browser told of, its beginning is worked out. */
  #moved() {
    const t = this.#video.currentTime;
    const lasts = Math.max(1 / this.fps, LEAST_S);
    this.#picture(this.shown <= t && t < this.shown + lasts ? this.shown : this.pictureAt(t));
  }

  #picture(t) {
    this.shown = t;
    const end = this.#stretch?.[1];
    if (end !== undefined && !this.#video.paused && t >= end - 0.5 / this.fps) this.seek(this.#stretch[0]);
    this.onMove();
  }
}
