"""What lies over the page: the lost connection, the session's end, and signing in again."""

from pages.live.parts import icon

WARNING = 10
"""Minutes before the end of the session at which the page says so."""

TEMPLATE = f"""
<div role="status" class="banners">
  <p v-if="state.link === 'offline' && !state.locked" class="banner lost">{icon("cloud_off")}
    The connection is lost. Trying again…</p>
  <p v-else-if="state.me && state.ending <= {WARNING}" class="banner">{icon("schedule")}
    Your session ends in {{{{ state.ending }}}} {{{{ state.ending === 1 ? 'minute' : 'minutes' }}}}.
    <button type="button" class="link" @click="state.renewing = true">Sign in again</button></p>
</div>
<q-dialog :model-value="state.locked || state.renewing" :persistent="state.locked" aria-labelledby="again-title"
          @update:model-value="state.renewing = $event">
  <div><form v-if="state.me" class="dialog" @submit.prevent="signIn">
    <h2 id="again-title">{{{{ state.locked ? 'Your session has ended' : 'Sign in again' }}}}</h2>
    <p>Sign in again to go on. What you have written stays where it is.</p>
    <label for="again-username">User name</label>
    <input id="again-username" name="username" :defaultValue.prop="state.me.username" autocomplete="username"
           autocapitalize="none" spellcheck="false" required>
    <label for="again-password">Password</label>
    <input id="again-password" name="password" type="password" autocomplete="current-password" required autofocus
           :aria-invalid="!!state.refusal" aria-describedby="again-error">
    <p id="again-error" class="field-error" role="alert">{{{{ state.refusal }}}}</p>
    <div class="actions">
      <button v-if="!state.locked" type="button" class="quiet" @click="state.renewing = false">Not now</button>
      <button class="primary">Sign in</button>
    </div>
  </form></div>
</q-dialog>
"""
