// Loaded into Playwright's driver. Firefox does not know this command yet (153 does not), and without an answer to it
// Playwright opens no page: something harmless is asked in its place, and colours stay as Firefox has them.
const UNKNOWN = "emulation.setMediaFeaturesOverride";
const plain = JSON.stringify;
JSON.stringify = (value, ...rest) => plain(value?.method === UNKNOWN ? { ...value, method: "session.status", params: {} } : value, ...rest);
