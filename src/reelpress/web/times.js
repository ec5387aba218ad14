// Times as people write and read them. Seconds inside, from the first picture of the video.

/** Seconds of "72", "72.5", "1:12", "0:12.5" or "1:02:03"; null for what is no time. A comma does for the point. */
export function parseTime(text) {
  const said = String(text).trim().replace(",", ".");
  const match = /^(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})$/.exec(said);
  if (!match) return null;
  const [hours, minutes, seconds] = [Number(match[1] ?? 0), Number(match[2] ?? 0), Number(match[3])];
  if (match[2] !== undefined && seconds >= 60) return null;
  if (match[1] !== undefined && minutes >= 60) return null;
  return round(hours * 3600 + minutes * 60 + seconds);
}

/** A time to the millisecond, as it is kept. */
export function round(seconds) {
  return Math.round(seconds * 1000) / 1000;
}

/** A time as a clock shows it: 0:12.50, 1:02:03.00; `digits` of fractions from 0 to 3. */
export function clock(seconds, digits = 2) {
  const unit = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * unit);
  const two = (number) => String(number).padStart(2, "0");
  const [rest, parts] = [Math.floor(whole / unit), whole % unit];
  const [hours, minutes] = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60];
  const fraction = digits ? `.${String(parts).padStart(digits, "0")}` : "";
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(rest % 60)}${fraction}`;
}

/** A time in words, for those who hear it: "1 minute 12.5 seconds". */
export function spoken(seconds) {
  const whole = Math.round(seconds * 100) / 100;
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = Math.round((whole % 60) * 100) / 100;
  const words = [[hours, "hour"], [minutes, "minute"], [rest, "second"]];
  const said = words.filter(([n, unit]) => n || (unit === "second" && whole < 60)).map(([n, unit]) => `${n} ${unit}${n === 1 ? "" : "s"}`);
  return said.join(" ");
}
