"""The right column: the members of the open group; it emits ``addMembers``, ``write`` and ``removeMember``."""

from pages.live.parts import avatar, icon, icon_button

TEMPLATE = f"""
<aside class="column-members" aria-label="Members">
<template v-if="state.panel && chat">
  <header class="bar">
    <h2>Members</h2>
    {icon_button("close", "Close the list of members", "state.panel = false")}
  </header>
  <button v-if="chat.owner_id === state.me.id && !chat.closed_at" type="button" class="row-button"
          @click="emit('addMembers', chat.id)">{icon("person_add")} Add people</button>
  <p v-if="room && !room.members" class="notice-line">Loading…</p>
  <ul v-else-if="room" class="members" aria-label="Members">
    <li v-for="user in Object.values(room.members).sort((a, b) => name(a.id).localeCompare(name(b.id)))
                       .sort((a, b) => !!state.online[b.id] - !!state.online[a.id])" :key="user.id">
      <span class="avatar-box">{avatar("user.id", size="small")}
        <span v-if="state.online[user.id]" class="dot"><span class="hidden">online</span></span></span>
      <span class="member-name">{{{{ name(user.id) }}}}<span v-if="user.id === state.me.id"> (you)</span>
        <small>@{{{{ user.username }}}}<template v-if="user.id === chat.owner_id"> · owner</template></small></span>
      {icon_button("mail", "Write privately", "emit('write', user.id)", extra='v-if="user.id !== state.me.id"')}
      {
    icon_button(
        "person_remove",
        "Remove from the chat",
        "emit('removeMember', {chat_id: chat.id, user_id: user.id})",
        extra='v-if="chat.owner_id === state.me.id && user.id !== state.me.id && !chat.closed_at"',
    )
}
    </li>
  </ul>
</template>
</aside>
"""
