"""The left column: who one is, and one's chats, newest first; it emits ``newChat``, ``search`` and ``profile``."""

from pages.live.parts import avatar, icon, icon_button, menu_item

TEMPLATE = f"""
<nav class="column-chats" aria-label="Chats">
<header class="bar">
  <span class="brand">Parley</span>
  {icon_button("search", "Search messages", "emit('search')")}
  {icon_button("add_comment", "New chat", "emit('newChat')")}
  <button type="button" class="icon-button me" aria-label="You and your settings" title="You and your settings">
    <template v-if="state.me">{avatar("state.me.id", size="small")}</template>
    <q-menu class="menu" anchor="bottom right" self="top right">
      <q-list role="menu" v-if="state.me">
        <div class="menu-head"><strong>{{{{ name(state.me.id) }}}}</strong>
          <span>@{{{{ state.me.username }}}}</span></div>
        {menu_item("tune", "Profile and appearance", "emit('profile')")}
        <q-item clickable role="menuitem" href="/sessions"><q-item-section side>{icon("devices")}</q-item-section>
          <q-item-section>Where you are signed in</q-item-section></q-item>
        <q-item v-if="state.me.is_admin" clickable role="menuitem" href="/invites">
          <q-item-section side>{icon("person_add")}</q-item-section>
          <q-item-section>Invitations</q-item-section></q-item>
        <q-item v-if="state.me.is_admin" clickable role="menuitem" href="/people">
          <q-item-section side>{icon("group")}</q-item-section>
          <q-item-section>People</q-item-section></q-item>
        <form method="post" action="/sign-out" role="none">
          <button class="menu-button" role="menuitem">{icon("logout")} Sign out</button>
        </form>
      </q-list>
    </q-menu>
  </button>
</header>
<div class="filter">
  {icon("filter_list")}
  <input v-model="state.filter" type="search" placeholder="Filter chats" aria-label="Filter chats"
         @keydown.enter="chats[0] && open(chats[0].id)">
</div>
<ul class="chats" aria-label="Chats">
  <li v-for="one in chats" :key="one.id">
    <a class="chat" :href="'/chat/' + one.id" :class="{{unread: one.unread, closed: one.closed_at}}"
       :aria-current="one.id === state.open ? 'page' : null" @click.exact.prevent="open(one.id)">
      <span class="avatar-box">
        <template v-if="one.kind === 'private'">{avatar("one.peer?.id")}
          <span v-if="state.online[one.peer?.id]" class="dot"><span class="hidden">online</span></span>
        </template>
        <span v-else class="avatar group" :style="{{'--hue': hue(one.id)}}" aria-hidden="true">
          {{{{ initials(title(one)) }}}}</span>
      </span>
      <span class="chat-title">{{{{ title(one) }}}}</span>
      <time v-if="one.last_message" :datetime="one.last_message.created_at">{{{{
        [time, () => 'Yesterday'][ago(one.last_message.created_at)]?.(one.last_message.created_at)
          ?? shortDate(one.last_message.created_at) }}}}</time>
      <span class="preview">
        <em v-if="typists(one.id).length" class="typing-now">typing…</em>
        <template v-else-if="state.drafts[one.id]?.text && one.id !== state.open">
          <em class="draft">Draft:</em> {{{{ state.drafts[one.id].text }}}}</template>
        <template v-else-if="!one.last_message"><em>No messages yet</em></template>
        <template v-else-if="one.last_message.deleted"><em>Message deleted</em></template>
        <template v-else><template v-if="one.last_message.author_id === state.me?.id">You: </template>
          <template v-else-if="one.kind === 'group'">{{{{ name(one.last_message.author_id) }}}}: </template>
          {{{{ one.last_message.body }}}}</template>
      </span>
      <span v-if="one.unread" class="badge">{{{{ one.unread > 99 ? '99+' : one.unread }}}}<span class="hidden">
        unread</span></span>
    </a>
  </li>
</ul>
<div v-if="state.me && !chats.length" class="empty">
  <template v-if="state.filter">No chat matches “{{{{ state.filter }}}}”.</template>
  <template v-else-if="state.link !== 'connecting'">
    <p>Nobody has written to you yet.</p>
    <button type="button" class="primary" @click="emit('newChat')">Start a chat</button>
  </template>
</div>
</nav>
"""
