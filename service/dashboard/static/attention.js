/** Whether somebody sees the page: one in the background gives its connection back, of which a browser has six a host. */

const HIDDEN_MS = 10_000; // whoever looks something up in another tab comes back to the same connection

/** Wait until the page is seen. */
export async function seen() {
  if (document.hidden) await new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true }); });
}

/** Begin some work as soon as the page is seen. Once it has been hidden for a while, a signal ends that, which is no error. */
export async function whileSeen(work) {
  await seen();
  const leaving = new AbortController();
  let timer = null;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => leaving.abort(), HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", look);
  try {
    await work(leaving.signal);
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  }
}
