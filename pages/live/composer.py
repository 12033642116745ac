"""Below the messages: who is typing, and the box to write in."""

from pages.live.parts import icon, icon_button

TEMPLATE = f"""
<div>
<div v-if="chat" class="composer">
  <p class="typing" aria-live="off"><template v-if="typists(chat.id).length"><span class="dots" aria-hidden="true">
    <i></i><i></i><i></i></span>{{{{ typists(chat.id).slice(0, 3).join(', ') }}}}
    {{{{ typists(chat.id).length > 3 ? 'and others ' : '' }}}}{{{{
      typists(chat.id).length > 1 ? 'are' : 'is' }}}} typing…</template></p>
  <p v-if="chat.closed_at" class="closed-note">{icon("lock")} This chat is closed. It can be read, not written to.</p>
  <form v-else @submit.prevent="submit">
    <div v-if="state.editing || state.drafts[chat.id]?.reply_to" class="about">
      {icon("subdirectory_arrow_right")}
      <span v-if="state.editing">Editing your message</span>
      <span v-else>Replying to <strong>{{{{ name(find(state.drafts[chat.id].reply_to)?.author_id) }}}}</strong>
        {{{{ find(state.drafts[chat.id].reply_to)?.body }}}}</span>
      {icon_button("close", "Cancel", "state.editing ? state.editing = null : state.drafts[chat.id].reply_to = null")}
    </div>
    <div class="box">
      <textarea v-model="draft.text" rows="1" :placeholder="'Message ' + title(chat)"
        :aria-label="'Message ' + title(chat)" maxlength="16000" enterkeyhint="enter" @input="typed"
        @keydown.enter.exact="coarse || $event.isComposing || ($event.preventDefault(), submit())"
        @keydown.up.exact="draft.text || timeline.filter((row) => row.mine && row.message.html).slice(-1)
                           .forEach((row) => ($event.preventDefault(), edit(row.message)))"
        @keydown.esc="state.editing ? state.editing = null : state.drafts[chat.id].reply_to = null"></textarea>
      <button class="send" :disabled="!draft.text.trim()" :aria-label="state.editing ? 'Save' : 'Send'"
              :title="state.editing ? 'Save' : 'Send'"><q-icon :name="state.editing ? 'o_check' : 'o_send'"
              aria-hidden="true"></q-icon></button>
    </div>
  </form>
</div>
</div>
"""
