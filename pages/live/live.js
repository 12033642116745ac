// Parley's only script: one WebSocket, one reactive store of what came over it, and the actions on both.
// It draws nothing: it binds all of it to the Vue templates that the Python files beside it hold.
import { computed, markRaw, nextTick, reactive, watch } from "vue";
import { page, parts } from "parley-markup";

const PAGE = 50; // messages fetched at once
const ROWS = 300; // messages in the document at once: a window on those that are kept
const GROUP = 5 * 60_000; // ms after which a message of the same author gets a heading again
const TYPING = 5_000; // ms that someone counts as typing
const SILENCE = 40_000; // ms without a sign of life after which the connection counts as lost

const state = reactive({
  me: null, users: {}, online: {}, chats: {}, rooms: {}, typing: {}, // chats: all of mine; rooms: those with messages
  open: null, drafts: {}, outbox: [], active: null, spot: null, menu: false, panel: false, filter: "",
  following: true, skip: 0, // whether the view stays at the newest message; how many newer ones the window leaves out
  link: "connecting", expires: 0, ending: 0, names: 0, locked: false, renewing: false, refusal: "",
  get editing() { return this.drafts[this.open]?.editing; }, set editing(to) { this.drafts[this.open].editing = to; },
});
const cursors = {}; // by chat: the number up to which this page has every change
const sending = new Set(); // chats with a message on its way
const pages = {}, asked = {}; // by chat: the page of messages on its way; by person: the answer on its way
let socket = null, attempts = 0, retry = 0, heard = 0, typedAt = 0, list = null; // list: what scrolls the open chat
const given = JSON.parse(document.getElementById("given")?.textContent ?? "{}"); // messages that came with the page
const coarse = matchMedia("(pointer: coarse)").matches; // fingers: Enter breaks the line, and no keyboard pops up

// --- the connection
function connect() {
  clearTimeout(retry);
  if (socket || state.locked) return;
  const own = (socket = new WebSocket(location.origin.replace("http", "ws") + "/ws"));
  own.onmessage = ({ data }) => own === socket && receive(JSON.parse(data));
  own.onclose = ({ code }) => own === socket && lost(code);
}
function lost(code = 1006) {
  socket?.close();
  socket = null;
  state.link = "offline";
  sending.clear();
  retry = setTimeout(connect, Math.min(30_000, 1_000 * 2 ** attempts++) * Math.random()); // all lost it at once
  // The browser shows a refused handshake only as 1006, as it does a break: ask whether the session is the reason.
  if (code === 4401 || (code === 1006 && attempts > 1)) api("GET", "/me").catch(() => {});
}
const send = (frame) => state.link === "online" && socket.send(JSON.stringify(frame));
function receive(frame) {
  [heard, attempts] = [Date.now(), 0];
  for (const user of [...(frame.users ?? []), frame.user]) if (user) learn(user);
  if (!frame.chat_id || state.chats[frame.chat_id]) handlers[frame.type]?.(frame);
  // Numbers have no holes: one that does not follow leaves the cursor, and the next `sync` fills what is missing.
  if (frame.seq === cursors[frame.chat_id] + 1) cursors[frame.chat_id] = frame.seq;
}
// When the node that holds the page is gone, NiceGUI would load the page again at once and cut off who is writing.
const renew = (before) =>
  setTimeout(() => (draft.value.text === before ? location.reload() : renew(draft.value.text)), 2_000);
async function api(method, path, body) {
  const options = { method, headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) };
  const answer = await fetch("/api/v1" + path, options).catch(() => null);
  if (answer?.status === 401 && path !== "/auth/login") state.me ? (state.locked = true) : location.reload();
  if (answer?.ok) return answer.status === 204 ? null : answer.json();
  throw (await answer?.json().catch(() => null)) ?? { detail: "The server cannot be reached. Try again." };
}
const attempt = (...call) => api(...call).catch((problem) => notify(problem.detail));
const notify = (message) => void Quasar.Notify.create({ message, position: "top", classes: "notice" });

// --- what the server tells
const handlers = {
  hello({ user, session_expires_at, chats, online }) {
    if (state.me && state.me.id !== user.id) return location.reload();
    const first = !state.me;
    Object.assign(state, { link: "online", me: user, expires: Date.parse(session_expires_at), locked: false });
    warn();
    state.online = Object.fromEntries(online.map((id) => [id, true]));
    for (const id of Object.keys(state.chats)) if (!chats.some((chat) => chat.id === id)) forget(id);
    chats.forEach(place);
    send({ type: "sync", chats: Object.fromEntries(Object.keys(state.rooms).map((id) => [id, cursors[id]])) });
    if (first) begin();
    else if (state.open && !room.value) open(state.open, { push: false });
    Object.keys(state.chats).forEach(pump);
    markRead();
  },
  sync({ chat_id, seq, chat, messages, members, more, reset }) {
    const since = reset ? 0 : cursors[chat_id];
    place(chat);
    if (reset && state.rooms[chat_id]) makeRoom(chat_id);
    for (const message of messages.sort((a, b) => a.seq - b.seq)) {
      if (message.seq > since && chat.unread === undefined) announce(message);
      merge(message, message.seq > since);
    }
    for (const { user, left_at } of members) noteMember(chat_id, user, !left_at);
    cursors[chat_id] = Math.max(seq, since);
    if (more) send({ type: "sync", chats: { [chat_id]: seq } });
  },
  ack: ({ re, message }) => message && (merge(message, true), settle(re)),
  error({ re, detail, retry_after }) {
    if (retry_after) return setTimeout(settle, 1_000 * retry_after, re);
    const message = unsent(re);
    if (message) store(`send:${message.nonce}`, Object.assign(message, { state: "failed", problem: detail }));
    settle(re);
  },
  "message.created"({ chat_id, message }) {
    delete state.typing[chat_id]?.[message.author_id];
    announce(message);
    merge(message, true);
  },
  "message.updated": ({ message }) => merge(message),
  "chat.added"({ chat, users }) {
    const peer = chat.kind === "private" ? users.find((user) => user.id !== state.me.id) : null;
    place({ read_seq: chat.seq, unread: 0, last_message: null, peer, ...chat });
    // The event tells nothing of the past that the chat may have, nor of what was written for it while one was out.
    if (chat.seq > 1) api("GET", `/chats/${chat.id}`).then((now) => now.seq >= cursors[now.id] && place(now), () => {});
    pump(chat.id);
  },
  "chat.updated": ({ chat }) => place(chat),
  "chat.removed": ({ chat_id }) => forget(chat_id),
  "member.added": ({ chat_id, user }) => noteMember(chat_id, user, true),
  "member.removed": ({ chat_id, user }) => noteMember(chat_id, user, false),
  presence: ({ online, offline }) =>
    (online.forEach((id) => (state.online[id] = true)), offline.forEach((id) => delete state.online[id])),
  typing({ chat_id, user_id }) {
    meet(chat_id, [{ author_id: user_id }]);
    const until = ((state.typing[chat_id] ??= {})[user_id] = Date.now() + TYPING);
    setTimeout(() => state.typing[chat_id]?.[user_id] === until && delete state.typing[chat_id][user_id], TYPING);
  },
  async read({ chat_id, user_id, seq }) {
    const chat = state.chats[chat_id], behind = seq < (chat.last_message?.seq ?? 0);
    if (user_id !== state.me.id || seq <= chat.read_seq) return;
    Object.assign(chat, { read_seq: seq, unread: behind ? (await api("GET", `/chats/${chat_id}`)).unread : 0 });
  },
};
const learn = (user) => ((state.names += name(user.id) !== user.display_name), (state.users[user.id] = user));
function place(chat) {
  if (chat.peer) learn(chat.peer);
  state.chats[chat.id] = { ...state.chats[chat.id], ...chat };
  if (!state.rooms[chat.id]) cursors[chat.id] = chat.seq;
}
function forget(id) {
  notify(`You are no longer in “${title(state.chats[id])}”.`);
  for (const part of [state.chats, state.rooms, state.typing, state.drafts]) delete part[id];
  if (state.open === id) open(null);
}
function announce(message) {
  const chat = state.chats[message.chat_id], room = state.rooms[message.chat_id];
  if (message.seq <= (chat.last_message?.seq ?? 0)) return;
  chat.last_message = message;
  if (message.author_id === state.me.id) return Object.assign(chat, { read_seq: message.seq, unread: 0 });
  if (room && !reading(message.chat_id)) room.mark ??= chat.read_seq;
  chat.unread += 1;
}
function noteMember(id, user, inside) {
  const { members } = Object.assign(state.rooms[id] ?? {}, { turnover: true });
  if (members) inside ? (members[user.id] = user) : delete members[user.id];
}
function merge(message, created = false) {
  const chat = state.chats[message.chat_id], room = state.rooms[message.chat_id];
  state.outbox.filter((one) => one.nonce === message.nonce && one.author_id === message.author_id).forEach(discard);
  meet(message.chat_id, [message]);
  if (chat.last_message?.id === message.id && message.version > chat.last_message.version) chat.last_message = message;
  if (!room) return;
  if (created || !room.more || message.seq >= room.rows[0]?.seq) insert(room, [message]);
  else if (room.loading) room.missed.push(message); // the page on its way may have been read before this
}
// Rows stand by number, the newest version of each, however they come. Vue does not look into them, who may be many.
function insert(room, messages) {
  const rows = new Map(room.rows.map((row) => [row.seq, row]));
  for (const one of messages) if (!(rows.get(one.seq)?.version >= one.version)) rows.set(one.seq, one);
  room.rows = markRaw([...rows.values()].sort((a, b) => a.seq - b.seq));
  if ((room.id !== state.open || state.following) && room.rows.length > 3 * ROWS) trim(room, ROWS);
}
const trim = (of, n) => of.rows.length > n && Object.assign(of, { more: true, rows: markRaw(of.rows.slice(-n)) });

// --- the open chat
const pathChat = () => location.pathname.match(/^\/chat\/([\da-f-]{36})$/)?.[1];
const makeRoom = (id) => (state.rooms[id] = { id, rows: [], more: true, mark: null, members: null, loading: false });
function begin() {
  for (const key of Object.keys(localStorage).filter((one) => one.startsWith(`parley:${state.me.id}:`))) {
    const [kind, id] = key.split(":").slice(2), value = JSON.parse(localStorage[key]);
    kind === "draft" ? (state.drafts[id] = value) : state.outbox.push(value);
  }
  state.outbox.sort((a, b) => a.created_at.localeCompare(b.created_at));
  window.socket.off("connect_error").on("connect_error", (error) => /handshake/.test(error) && renew(draft.value.text));
  const wanted = pathChat() ?? (matchMedia("(min-width: 800px)").matches ? chats.value[0]?.id : null);
  if (wanted) open(wanted, { replace: true });
}
async function open(id, { push = true, replace = false, seq = 0 } = {}) {
  const next = state.chats[id] ?? (id && (await attempt("GET", `/chats/${id}`)));
  const mark = next?.unread ? next.read_seq : null;
  if (next && !state.chats[id]) place(next);
  if (id && !next) return;
  if (room.value && room.value.id !== id) trim(room.value, PAGE);
  Object.assign(state, { open: id, active: null, spot: seq, following: !seq, skip: 0 });
  if (push) history[replace ? "replaceState" : "pushState"](null, "", id ? `/chat/${id}` : "/");
  if (!id) return;
  state.drafts[id] ??= stored(`draft:${id}`) ?? { text: "", reply_to: null };
  if (!state.rooms[id]) await older(makeRoom(id).id);
  while (seq && state.rooms[id]?.more && !(state.rooms[id].rows[0]?.seq <= seq) && (await older(id)));
  if (state.open !== id || !room.value) return;
  room.value.mark = mark;
  if (seq) state.skip = Math.max(0, room.value.rows.filter((row) => row.seq > seq).length - PAGE);
  await nextTick().then(nextTick); // the view first keeps its place, see the watch on the timeline
  const target = list.querySelector(".spot, .new-line");
  target ? (list.scrollTop = target.offsetTop - list.clientHeight / 4) : toEnd();
  scrolled();
  if (!coarse) focusComposer();
}
const older = (id) => state.rooms[id].more && (pages[id] ??= load(id).finally(() => delete pages[id]));
async function load(id) {
  const room = state.rooms[id], before = room.rows[0]?.seq;
  Object.assign(room, { loading: true, missed: [] });
  const fits = !before && given.chat_id === id && given.seq === cursors[id], older = before ? `&before=${before}` : "";
  const found = fits ? given : await attempt("GET", `/chats/${id}/messages?limit=${PAGE}${older}`);
  if (found) await meet(id, found.messages);
  room.loading = false;
  if (!found) return (before || delete state.rooms[id], false);
  const oldest = found.messages.at(-1)?.seq;
  insert(room, found.messages.concat(room.missed).filter(({ seq }) => seq >= oldest));
  room.more = found.more;
  if (before && id === state.open) scrolled(); // moves the window at once: at the very top nothing else would
  return true;
}
async function meet(id, messages) {
  const reacted = ({ reactions }) => Object.values(reactions ?? {}).flatMap(({ user_ids }) => user_ids);
  const people = new Set(messages.flatMap((message) => [message.author_id, ...reacted(message)]));
  const strangers = () => [...people].filter((one) => !state.users[one]);
  if (strangers().length > 3) await loadMembers(id);
  const ask = (one) => (asked[one] ??= api("GET", `/users/${one}`).then(learn, () => delete asked[one]));
  await Promise.all(strangers().map(ask));
}
async function loadMembers(id) {
  const room = Object.assign(state.rooms[id] ?? {}, { turnover: false });
  const found = await attempt("GET", `/chats/${id}/members`);
  found?.members.forEach(({ user }) => learn(user));
  if (found && room.turnover) return loadMembers(id);
  if (found) room.members = Object.fromEntries(found.members.map(({ user }) => [user.id, user]));
}

// --- the view: it follows the newest message, or stays where the reader is
function bindList(element) {
  if (!element || element === list) return;
  list = element;
  const observer = new ResizeObserver(() => state.following && toEnd());
  [list, list.firstElementChild].forEach((part) => observer.observe(part));
}
const toEnd = () => list && (list.scrollTop = list.scrollHeight);
const newest = () => (Object.assign(state, { skip: 0, following: true }), nextTick(toEnd));
function scrolled() {
  if (!list || !room.value) return;
  const below = list.scrollHeight - list.scrollTop - list.clientHeight;
  state.following = !state.skip && below < 60;
  if (state.following) markRead();
  if (list.scrollTop < 800) state.skip + ROWS < room.value.rows.length ? (state.skip += PAGE) : older(state.open);
  if (below < 800 && state.skip) state.skip = Math.max(0, state.skip - PAGE);
}
const reading = (id) => id === state.open && state.following && document.hasFocus() && !document.hidden;
function markRead() {
  const last = chat.value?.last_message?.seq ?? 0;
  if (!reading(state.open) || state.link !== "online" || !room.value || last <= chat.value.read_seq) return;
  Object.assign(chat.value, { read_seq: last, unread: 0 });
  send({ type: "read", chat_id: state.open, seq: last });
}
function step(by) {
  const at = timeline.value.findIndex((row) => row.key === state.active), last = timeline.value.length - 1;
  list.querySelectorAll("[data-key]")[at < 0 ? last : Math.max(0, Math.min(last, at + by))]?.focus();
}

// --- writing
const focusComposer = () => nextTick(() => document.querySelector(".composer textarea")?.focus());
function typed() {
  if (state.editing || !draft.value.text || Date.now() - typedAt < 2_000) return;
  typedAt = Date.now();
  send({ type: "typing", chat_id: state.open });
}
async function submit() {
  const chat_id = state.open, body = draft.value.text.trim(), { reply_to, editing } = state.drafts[chat_id];
  if (!body) return;
  if (editing) return (await change("PATCH", editing, "", { body })) && delete state.drafts[chat_id]?.editing;
  const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(36)).join("-");
  const created_at = new Date().toISOString();
  const message = { chat_id, nonce, body, reply_to, author_id: state.me.id, created_at, state: "pending" };
  state.outbox.push(message);
  store(`send:${nonce}`, message);
  state.drafts[chat_id] = { text: "", reply_to: null };
  (room.value ?? {}).mark = null;
  newest();
  pump(chat_id);
}
// One at a time in a chat, so that they arrive in the order in which they were written.
const unsent = (chat_id) => state.outbox.find((one) => one.chat_id === chat_id && one.state === "pending");
function pump(chat_id) {
  if (!unsent(chat_id) || sending.has(chat_id) || state.link !== "online") return;
  const { nonce, body, reply_to } = unsent(chat_id);
  sending.add(chat_id);
  send({ type: "message.send", id: chat_id, chat_id, nonce, body, reply_to });
}
const settle = (chat_id) => (sending.delete(chat_id), pump(chat_id));
const discard = (message) => (state.outbox.splice(state.outbox.indexOf(message), 1), store(`send:${message.nonce}`));
const edit = (message) => ((state.editing = { ...message, text: message.body }), focusComposer());
const change = (method, { chat_id, id }, path, body) =>
  attempt(method, `/chats/${chat_id}/messages/${id}${path}`, body).then((changed) => changed && (merge(changed), true));
const hasReacted = (message, emoji) => message.reactions?.[emoji]?.user_ids.includes(state.me.id);
const react = (message, emoji) =>
  change(hasReacted(message, emoji) ? "DELETE" : "PUT", message, `/reactions/${encodeURIComponent(emoji)}`);
const stored = (key) => JSON.parse(localStorage.getItem(`parley:${state.me.id}:${key}`));
const store = (key, value) =>
  localStorage[value ? "setItem" : "removeItem"](`parley:${state.me.id}:${key}`, JSON.stringify(value));

// --- the session, and the look
async function signIn({ target }) {
  try {
    const { user } = await api("POST", "/auth/login", Object.fromEntries(new FormData(target)));
    // The server may no longer hold the page; what was typed is in the browser's storage.
    const resumed = user.id === state.me.id && (await fetch(`/page/resume/${window.clientId}`, { method: "POST" })).ok;
    if (!resumed) return location.reload();
    Object.assign(state, { locked: false, renewing: false, refusal: "" });
    window.socket.connect();
    lost(1000);
    connect();
  } catch (problem) {
    state.refusal = problem.detail;
  }
}
const warn = () => (state.ending = Math.max(1, Math.ceil((state.expires - Date.now()) / 60_000)));
function theme(choice) {
  document.documentElement.style.colorScheme = choice === "system" ? "light dark" : choice;
  document.cookie = `parley_theme=${choice}; path=/; max-age=31536000; samesite=lax`;
}

// --- what templates show
const draft = computed(() => state.editing ?? state.drafts[state.open] ?? { text: "" }); // what the composer holds
const chat = computed(() => state.chats[state.open]), room = computed(() => state.rooms[state.open]);
const panelShown = computed(() => state.panel && chat.value?.kind === "group");
const unread = computed(() => Object.values(state.chats).reduce((sum, one) => sum + one.unread, 0));
const chats = computed(() => {
  const latest = (one) => Date.parse(one.last_message?.created_at ?? one.created_at);
  const wanted = (one) => title(one).toLowerCase().includes(state.filter.toLowerCase());
  return Object.values(state.chats).filter(wanted).sort((a, b) => latest(b) - latest(a));
});
const timeline = computed(() => {
  const { rows = [], mark } = room.value ?? {}, end = rows.length - state.skip;
  const begin = Math.max(0, PAGE * Math.ceil((end - ROWS) / PAGE)); // v-memo knows rows by their place: move it seldom
  const last = rows[begin - 1], pending = state.outbox.filter((one) => one.chat_id === state.open && !state.skip);
  let before = last && { message: last, at: new Date(last.created_at) }, marked = mark == null || last?.seq > mark;
  return rows.slice(begin, end).concat(pending).map((message) => {
    const mine = message.author_id === state.me.id, at = new Date(message.created_at);
    const day = before?.at.toDateString() !== at.toDateString();
    const fresh = !marked && !mine && message.seq > mark;
    marked ||= fresh;
    const head = day || fresh || before.message.author_id !== message.author_id || at - before.at > GROUP;
    before = { message, at };
    return { key: mine && message.nonce ? message.nonce : message.id, message, mine, day, fresh, head };
  });
});
const format = (options, made = new Intl.DateTimeFormat(undefined, options)) => (iso) => made.format(new Date(iso));
const time = format({ timeStyle: "short" }), fullTime = format({ dateStyle: "full", timeStyle: "medium" });
const date = format({ weekday: "long", day: "numeric", month: "long" }), shortDate = format({ dateStyle: "short" });
const ago = (iso) => Math.round((new Date().setHours(0, 0, 0, 0) - new Date(iso).setHours(0, 0, 0, 0)) / 86_400_000);
const dayName = (iso) => ["Today", "Yesterday"][ago(iso)] ?? date(iso);
const name = (id) => state.users[id]?.display_name ?? "Someone";
const title = (one) => (one.kind === "private" ? name(one.peer?.id) : one.title);
const names = (ids) => ids.map((id) => (id === state.me.id ? "You" : name(id))).join(", ");
const typists = (id) => Object.keys(state.typing[id] ?? {}).filter((user) => user !== state.me.id).map(name);
const initials = (of) => (of.match(/(?<![\p{L}\p{N}])[\p{L}\p{N}]/gu) ?? ["?"]).slice(0, 2).join("").toUpperCase();
const hue = (id) => [...(id ?? "")].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
const find = (id) => room.value?.rows.find((row) => row.id === id);
watch(timeline, () => {
  const edge = (row) => row.getBoundingClientRect().bottom - list.getBoundingClientRect().top; // tops lose headings
  const seen = !state.following && list && [...list.querySelectorAll("[data-key]")].find((row) => edge(row) >= 0);
  const before = seen && edge(seen);
  nextTick(() => {
    if (seen?.isConnected) list.scrollTop += edge(seen) - before;
    else if (state.following) toEnd();
    markRead();
  });
});
watch(() => [state.open, draft.value.text, { ...state.drafts[state.open] }], ([id, , kept], [before]) => {
  if (id && id === before) store(`draft:${id}`, (kept.text || kept.reply_to || kept.editing) && kept);
});
watch(() => panelShown.value && room.value && !room.value.members && state.open, (id) => id && loadMembers(id));
watch(() => [unread.value, chat.value && title(chat.value), panelShown.value], ([count, shown, panel]) => {
  document.title = (count ? `(${count}) ` : "") + (shown ? `${shown} · Parley` : "Parley");
  Object.assign(document.body.dataset, { view: shown ? "chat" : "list", panel });
}, { immediate: true });

addEventListener("online", connect);
addEventListener("offline", () => socket && lost());
for (const event of ["focus", "visibilitychange"]) addEventListener(event, markRead);
addEventListener("popstate", () => open(pathChat(), { push: false }));
setInterval(() => (warn(), socket && Date.now() - heard > SILENCE ? lost() : send({ type: "ping" })), SILENCE / 3);
connect();
const shared = {
  state, coarse, open, newest, scrolled, bindList, step, typed, submit, pump, discard, edit, react, signIn,
  theme, learn, focusComposer, draft, chat, room, chats, timeline, time, fullTime, shortDate, ago, dayName, name, title,
  names, typists, initials, hue, find,
};
let ask = null; // NiceGUI's way to the Python behind the page
const emit = (name, value) => ask("act", name, value);
const bound = (template) => ({ template, setup: () => ({ ...shared, emit }) });
export default {
  components: Object.fromEntries(Object.entries(parts).map(([name, template]) => [name, bound(template)])),
  template: page, emits: ["act"],
  setup: (_, context) => ((ask = context.emit), context.expose(shared)),
};
