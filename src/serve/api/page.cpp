// The page at "/": a chat with the model. One self-contained text.

#include "serve/api/endpoints.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

constexpr std::string_view kPage = R"page(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>moe-serve</title>
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8882; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
  header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
  h1 { font-size: 1.1rem; margin: 0; }
  #about, .figures { color: #888; font-size: .85rem; }
  details { margin: .5rem 0; }
  details label { display: block; margin: .3rem 0; }
  .message { white-space: pre-wrap; overflow-wrap: anywhere; padding: .5rem .8rem; margin: .6rem 0; border-radius: .5rem; }
  .user { background: var(--soft); margin-left: 3rem; }
  .assistant { border: 1px solid var(--line); }
  .error { color: #c33; }
  form { display: flex; gap: .5rem; position: sticky; bottom: 0; padding: .5rem 0; background: Canvas; }
  textarea { font: inherit; flex: 1; resize: vertical; }
  input[type=number] { width: 6rem; }
  #system { width: 100%; }
</style>
<header><h1>moe-serve</h1><span id="about"></span></header>
<details>
  <summary>Settings</summary>
  <label>System message <textarea id="system" rows="2"></textarea></label>
  <label>Temperature <input id="temperature" type="number" value="0.7" min="0" max="2" step="0.1"></label>
  <label>Tokens at most <input id="limit" type="number" value="512" min="1"></label>
  <label>API key <input id="key" type="password" autocomplete="off"></label>
  <button id="forget" type="button">New conversation</button>
</details>
<main id="talk" aria-live="polite"></main>
<form id="form">
  <textarea id="text" rows="2" aria-label="Message" placeholder="Message (Enter sends, Shift+Enter: new line)" autofocus></textarea>
  <button id="send">Send</button>
</form>
<script>
'use strict';
const $ = id => document.getElementById(id);
let messages = [], running = null;

function show(kind, text) {
  const element = document.createElement('div');
  element.className = kind;
  element.textContent = text;
  $('talk').append(element);
  return element;
}

function headers() {
  const all = {'Content-Type': 'application/json'};
  if ($('key').value) all.Authorization = 'Bearer ' + $('key').value;
  return all;
}

async function about() {
  const answer = await fetch('v1/models', {headers: headers()});
  if (!answer.ok) return;
  const model = (await answer.json()).data[0];
  $('about').textContent = `${model.id}, ${(model.meta.parameters / 1e6).toFixed(1)} M parameters, context ${model.max_model_len}`;
}

// Calls take(event) for each event of the stream.
async function read_events(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const line = text.slice(0, end);
      if (line.startsWith('data: ') && line !== 'data: [DONE]') take(JSON.parse(line.slice(6)));
    }
  }
}

function figures(usage, seconds) {
  const tokens = usage.completion_tokens, work = usage.work;
  return `${tokens} tokens, ${(tokens / seconds).toFixed(1)} tokens/s, ${(work.flops / 1e9).toPrecision(3)} GFLOPs`;
}

async function reply() {
  const system = $('system').value.trim();
  const body = {messages: (system ? [{role: 'system', content: system}] : []).concat(messages), stream: true,
                max_tokens: +$('limit').value, temperature: +$('temperature').value, include_work: true,
                stream_options: {include_usage: true}};
  running = new AbortController();
  $('send').textContent = 'Stop';
  const started = performance.now();
  let text = '', element = null;
  try {
    const answer = await fetch('v1/chat/completions',
                               {method: 'POST', headers: headers(), body: JSON.stringify(body), signal: running.signal});
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    element = show('message assistant', '');
    await read_events(answer.body, event => {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) show('figures', figures(event.usage, (performance.now() - started) / 1000));
      text += event.choices[0]?.delta?.content ?? '';
      element.textContent = text;
      window.scrollTo(0, document.body.scrollHeight);
    });
  } catch (error) {
    if (error.name !== 'AbortError') show('error', error.message);
  }
  if (element) messages.push({role: 'assistant', content: text});
  else messages.pop();
  running = null;
  $('send').textContent = 'Send';
}

$('form').onsubmit = event => {
  event.preventDefault();
  if (running) return running.abort();
  const text = $('text').value;
  if (!text.trim()) return;
  $('text').value = '';
  messages.push({role: 'user', content: text});
  show('message user', text);
  reply();
};
$('text').onkeydown = event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!running) $('form').requestSubmit();
};
$('forget').onclick = () => { messages = []; $('talk').textContent = ''; };
$('key').onchange = about;
about();
</script>
</html>
)page";

}  // namespace

std::string_view page() { return kPage; }

}  // namespace moe::inline MOE_ABI::serve::api
