"""What is put into the page to look at it: all times are its own, and of a frame that is about to be painted."""

PROBE = r"""
globalThis.probe = (() => {
  const log = () => document.querySelector("[role=log]");
  const rows = () => [...document.querySelectorAll("[role=log] article")];
  const number = (row) => Number(row.querySelector(".prose")?.textContent.match(/^#(\d+) /)?.[1] ?? -1);
  const frame = () => new Promise(requestAnimationFrame);
  // A row counts as shown when it lies in what one sees of the list as a frame is about to be painted.
  const inView = (row) => {
    const list = log().getBoundingClientRect(), { top, bottom } = row.getBoundingClientRect();
    return bottom > list.top && top < list.bottom && bottom > top;
  };
  const isShown = (text) => rows().slice(-3).some((row) => row.textContent.includes(text) && inView(row));
  const until = async (met) => {
    let frames = 0;
    do {
      await frame();
      frames += 1;
    } while (!met() && frames < 6_000);
    if (frames >= 6_000) throw new Error("the page did not show what was waited for");
    return frames;
  };
  const probe = {
    async afterEnter(text) {
      const pressed = new Promise((resolve) => {
        const heard = (event) => event.key === "Enter" && resolve(event.timeStamp);
        addEventListener("keydown", heard, { capture: true, once: true });
      });
      const begun = await pressed;
      return { frames: await until(() => isShown(text)), ms: performance.now() - begun };
    },
    async shown(text) {
      await until(() => isShown(text));
      return performance.timeOrigin + performance.now();
    },
    async change(id, last) {
      const begun = performance.now();
      document.querySelector(`a.chat[href="/chat/${id}"]`).click();
      await until(() => location.pathname.endsWith(id) && isShown(last));
      return performance.now() - begun;
    },
    numbers: () => rows().map(number),
    // Scrolls up by so much in each frame, as a wheel does, and notes what was seen, and what moved by anything else.
    async scrollUp(step) {
      const seen = new Map(), found = { numbers: [], rows: 0, jump: 0, frames: [] };
      let held = 0, quiet = 0, before = null;
      while (quiet < 60) {
        const edges = new Map(), fresh = [];
        const all = rows(), edge = log().getBoundingClientRect();
        found.rows = Math.max(found.rows, all.length);
        for (const row of all) {
          const { top, bottom } = row.getBoundingClientRect();
          if (bottom <= edge.top || top >= edge.bottom) continue;
          edges.set(row.dataset.key, bottom);
          if (!seen.has(number(row))) fresh.unshift(number(row));
        }
        for (const one of fresh) seen.set(one, true);
        const same = before && [...edges].filter(([key]) => before.has(key));
        if (before && !same.length) throw new Error("nothing of what was seen a frame ago is there");
        for (const [key, at] of same ?? []) found.jump = Math.max(found.jump, Math.abs(at - before.get(key) - held));
        const room = log().scrollTop;
        held = Math.min(step, room);
        quiet = room || document.querySelector(".loading") ? 0 : quiet + 1;
        before = edges;
        log().scrollTop = room - held;
        const begun = performance.now();
        await frame();
        found.frames.push(performance.now() - begun);
      }
      found.numbers = [...seen.keys()].filter((one) => one >= 0);
      return found;
    },
  };
  return probe;
})();
"""
