// The card that asks for a read token. The token goes to the daemon in a header and is kept for this tab, or on this device where
// that is ticked; it is never shown, logged or put in the address.

import { dropToken, keepToken } from './api.js';
import { byId, el } from './dom.js';

// Shows the card. `problem` is why the last token did not do; `signedIn` is called once one was given.
export function askToken(problem, signedIn) {
  const card = byId('signin');
  byId('view').hidden = true;
  byId('empty').hidden = true;
  card.hidden = false;
  byId('live').hidden = true;
  // A form with a name in it is what password managers look for; it is sent nowhere.
  const name = el('input', { type: 'text', name: 'username', autocomplete: 'username', value: 'tallyd', hidden: true });
  const field = el('input.field', { type: 'password', 'aria-label': 'Read token', placeholder: 'tally_…', autocomplete: 'current-password', spellcheck: 'false' });
  const keep = el('input', { type: 'checkbox' });
  const submit = (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '') return;
    keepToken(text, keep.checked);
    field.value = '';
    signedIn();
  };
  card.replaceChildren(el('form', { onsubmit: submit },
    el('h2', {}, 'This tallyd asks for a read token.'),
    problem ? el('p.problem', { role: 'alert' }, problem) : '',
    name, field,
    el('div.checks', {}, el('label', {}, keep, 'Keep on this device')),
    el('div.actions', {}, el('button.button.primary', { type: 'submit' }, 'Sign in'))));
  field.focus();
}

export function hideSignin() {
  byId('signin').hidden = true;
  byId('signin').replaceChildren();
  byId('view').hidden = false;
  byId('live').hidden = false;
}

export function signOut() {
  dropToken();
}
