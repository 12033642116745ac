"""The middle column: the open chat's heading and messages.

It emits ``newChat``; with the chat's id ``rename``, ``addMembers``, ``transfer``, ``close``, ``reopen`` and
``leave``; and ``delete`` with a message's ids.
"""

from pages.live.parts import avatar, icon, icon_button, menu_item

EMOJI = [*"👍😂🎉😮😢🙏👀✅❌🔥💯🤔👏🚀😍😅😎🤝💡☕🍕👋💪", "❤️"]
"""What the picker offers, as keyboards write it; any other emoji can be typed into it."""

_IF_OPEN = 'v-if="!chat.closed_at"'

_HEADING = f"""
<header v-if="chat" class="bar">
  <a class="icon-button back" href="/" aria-label="Back to the chats" @click.exact.prevent="open(null)">
    {icon("arrow_back")}</a>
    <span class="avatar-box">
      <template v-if="chat.kind === 'private'">{avatar("chat.peer?.id", size="small")}</template>
      <span v-else class="avatar small group" :style="{{'--hue': hue(chat.id)}}" aria-hidden="true">
        {{{{ initials(title(chat)) }}}}</span>
    </span>
    <div class="heading">
      <h1>{{{{ title(chat) }}}}</h1>
      <p v-if="chat.kind === 'private'">{{{{ state.online[chat.peer?.id] ? 'Online' : 'Offline' }}}}</p>
      <p v-else>{{{{ chat.closed_at ? 'Closed group' : 'Group' }}}}<template v-if="room?.members">,
        {{{{ Object.keys(room.members).length }}}} members</template></p>
    </div>
    <button v-if="chat.kind === 'group'" type="button" class="icon-button" aria-label="Members" title="Members"
            :aria-expanded="state.panel" @click="state.panel = !state.panel">{icon("group")}</button>
    <button v-if="chat.kind === 'group'" type="button" class="icon-button" aria-label="More about this chat"
            title="More">{icon("more_vert")}
      <q-menu class="menu" anchor="bottom right" self="top right"><q-list role="menu">
        <template v-if="chat.owner_id === state.me.id">
          {menu_item("edit", "Rename", "emit('rename', chat.id)", extra=_IF_OPEN)}
          {menu_item("person_add", "Add people", "emit('addMembers', chat.id)", extra=_IF_OPEN)}
          {menu_item("swap_horiz", "Hand over ownership", "emit('transfer', chat.id)", extra=_IF_OPEN)}
          {menu_item("lock", "Close chat", "emit('close', chat.id)", extra=_IF_OPEN)}
          {menu_item("lock_open", "Reopen chat", "emit('reopen', chat.id)", extra='v-if="chat.closed_at"')}
        </template>
        {menu_item("logout", "Leave chat", "emit('leave', chat.id)")}
      </q-list></q-menu>
    </button>
</header>
"""

_PICKER = f"""
<q-menu class="menu picker" role="dialog" aria-label="Choose a reaction" anchor="top right" self="bottom right"
        @before-show="state.menu = true" @hide="state.menu = false">
  <div class="emoji-grid">
    <button v-for="emoji in {EMOJI}" :key="emoji" type="button" v-close-popup :aria-label="'React with ' + emoji"
            @click="react(row.message, emoji)">{{{{ emoji }}}}</button>
  </div>
  <input placeholder="Or type an emoji" aria-label="Type an emoji and press Enter" maxlength="16"
         @keydown.enter="$event.target.value.trim() && react(row.message, $event.target.value.trim())">
</q-menu>
"""

_TOOLS = f"""
<div v-if="state.active === row.key && row.message.seq && !row.message.deleted && !chat.closed_at" class="tools"
     role="toolbar" aria-label="Message">
  <button type="button" class="icon-button" aria-label="React" title="React">{icon("add_reaction")}{_PICKER}</button>
  {icon_button("reply", "Reply", "state.drafts[state.open].reply_to = row.message.id; focusComposer()")}
  <button v-if="row.mine || chat.owner_id === state.me.id" type="button" class="icon-button" aria-label="More"
          title="More">{icon("more_horiz")}
    <q-menu class="menu" @before-show="state.menu = true" @hide="state.menu = false"><q-list role="menu">
      {menu_item("edit", "Edit", "edit(row.message)", extra='v-if="row.mine"')}
      {menu_item("delete", "Delete", "emit('delete', {chat_id: chat.id, message_id: row.message.id})")}
    </q-list></q-menu>
  </button>
</div>
"""

_REPLY = """
<a v-if="row.message.reply_to" class="quote" href="#" @click.prevent="find(row.message.reply_to)
   && open(chat.id, {push: false, seq: find(row.message.reply_to).seq})">
  <template v-if="find(row.message.reply_to)">
    <strong>{{ name(find(row.message.reply_to).author_id) }}</strong>
    {{ find(row.message.reply_to).body ?? 'Message deleted' }}</template>
  <template v-else>An earlier message</template>
</a>
"""

_STATE = f"""
<span v-if="row.message.state === 'pending'" class="sending" role="img" aria-label="Sending" title="Sending">
  {icon("schedule")}</span>
<div v-if="row.message.state === 'failed'" class="failed" role="alert">
  {icon("error")} Not sent: {{{{ row.message.problem }}}}
  <button type="button" class="link" @click="row.message.state = 'pending'; pump(chat.id)">Try again</button>
  <button type="button" class="link" @click="discard(row.message)">Discard</button>
</div>
"""

_REACTIONS = """
<div v-if="Object.keys(row.message.reactions ?? {}).length" class="reactions">
  <button v-for="(who, emoji) in row.message.reactions" :key="emoji" type="button" class="reaction"
          :aria-pressed="who.user_ids.includes(state.me.id)" :title="names(who.user_ids)"
          :aria-label="emoji + ', ' + who.count + ': ' + names(who.user_ids)" :disabled="!!chat.closed_at"
          @click="react(row.message, emoji)">{{ emoji }} <span>{{ who.count }}</span></button>
</div>
"""

_MESSAGE = f"""
<div v-if="row.day" class="day" role="separator"><span>{{{{ dayName(row.message.created_at) }}}}</span></div>
<div v-if="row.fresh" class="new-line" role="separator"><span>New</span></div>
<article class="message" :data-key="row.key" tabindex="-1" @mouseenter="state.menu || (state.active = row.key)"
         @focusin="state.active = row.key"
         :class="{{own: row.mine, head: row.head, spot: state.spot && row.message.seq === state.spot,
                  active: state.active === row.key, waiting: row.message.state}}"
         :aria-label="name(row.message.author_id) + ', ' + time(row.message.created_at)">
  <template v-if="row.head && !row.mine">{avatar("row.message.author_id")}</template>
  <div class="content">
    <p v-if="row.head" class="byline"><strong v-if="!row.mine">{{{{ name(row.message.author_id) }}}}</strong>
      <time :datetime="row.message.created_at" :title="fullTime(row.message.created_at)">{{{{
        time(row.message.created_at) }}}}</time></p>
    <div class="bubble" :title="row.head ? null : fullTime(row.message.created_at)">
      {_REPLY}
      <p v-if="row.message.deleted" class="deleted">{icon("block")} Message deleted</p>
      <div v-else-if="row.message.html" class="prose" v-html="row.message.html"></div>
      <div v-else class="prose plain">{{{{ row.message.body }}}}</div>
      <span v-if="row.message.edited_at && !row.message.deleted" class="edited"
            :title="'Edited ' + fullTime(row.message.edited_at)">edited</span>
      {_STATE}
      {_TOOLS}
    </div>
    {_REACTIONS}
  </div>
</article>
"""

_MESSAGES = f"""
<div v-if="chat" class="messages-box">
  <div :key="chat.id" :ref="bindList" class="messages" tabindex="0" role="log" aria-label="Messages"
       @scroll.passive="scrolled" @keydown.up.exact.prevent="step(-1)" @keydown.down.exact.prevent="step(1)"
       @mouseleave="state.menu || (state.active = null)">
    <div class="rows" :aria-busy="!!room?.loading">
      <div v-if="room && !room.more" class="beginning">
        <p>This is the beginning of <strong>{{{{ title(chat) }}}}</strong>. {{{{ chat.kind === 'private'
          ? 'Only the two of you can read it.' : 'Everyone in it can read all of it.' }}}}</p>
      </div>
      <div v-for="row in timeline" :key="row.key" class="row-box"
           v-memo="[row.message, row.message.version, row.message.state, row.head, row.day, row.fresh, chat.closed_at,
                    chat.owner_id, state.active === row.key, state.spot === row.message.seq, state.names,
                    row.message.reply_to && find(row.message.reply_to)]">{_MESSAGE}</div>
    </div>
  </div>
  <p v-if="room?.loading" class="loading" role="status">Loading…</p>
  <button v-if="!state.following && room" type="button" class="to-newest" @click="newest">
    {icon("arrow_downward")}<template v-if="chat.unread">{{{{ chat.unread }}}} new</template>
    <span v-else>Newest</span></button>
</div>
<div v-else class="nothing-open">
  <div class="art" aria-hidden="true">{icon("forum")}</div>
  <h1>{{{{ state.link === 'connecting' ? 'Connecting…' : 'Choose a chat' }}}}</h1>
  <p>Pick one on the left, or start a new one.</p>
  <button type="button" class="primary" @click="emit('newChat')">Start a chat</button>
</div>
"""

TEMPLATE = f'<div class="conversation">{_HEADING}{_MESSAGES}</div>'
