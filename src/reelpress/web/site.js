// What the place decides that these pages are served from; whoever serves them elsewhere puts another file here.

/**
 * Who is signed in, or null where people have API keys: {token(fresh), signIn(), signOut()}. `token` resolves to what
 * goes after "Bearer", a new one if `fresh`, or to null; `signIn` takes the person to where that is done.
 * See docs/firebase.md.
 */
export const session = null;

/** Whether a stream of events comes through as it is sent; Firebase Hosting holds it back until it ends. */
export const streams = true;
