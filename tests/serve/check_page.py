#!/usr/bin/env python3
"""check_page.py MOE_SERVE ROOT: the page at "/" in a headless browser: a conversation, its figures, an error, a stop."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../report"))

from devtools import Browser, find_browser
from serving import Server, check, finish


def wait_for(browser, script, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if browser.value(script):
            return True
        time.sleep(0.05)
    return False


def say(browser, text):
    browser.value(f"document.getElementById('text').value = {text!r}; document.getElementById('form').requestSubmit()")


def conversation(browser, server):
    address = f"http://127.0.0.1:{server.port}/"
    for width in (360, 1280):
        for theme in ("light", "dark"):
            asked = browser.open(address, width, theme)
            check(all(url.startswith(address) for url in asked), f"nothing is loaded from elsewhere: {asked}")
            check(browser.value("document.documentElement.scrollWidth") <= width, f"no overflow at {width}")
    check(wait_for(browser, "document.getElementById('about').textContent.startsWith('nano, 1.7 M')"), "the model's name")
    browser.value("document.getElementById('limit').value = 20; document.getElementById('temperature').value = 0")
    say(browser, "<b>In which month</b>")
    done = "document.getElementById('send').textContent === 'Send'"
    check(wait_for(browser, "document.querySelectorAll('.figures').length === 1 && " + done), "a reply and its figures")
    figures = browser.value("document.querySelector('.figures').textContent")
    check("tokens/s" in figures and figures.endswith("GFLOPs") and " 0 GFLOPs" not in figures, f"figures: {figures}")
    check(browser.value("document.querySelector('.user').textContent") == "<b>In which month</b>", "text is text")
    _, answer = server.json("/v1/chat/completions", {
        "messages": [{"role": "user", "content": "<b>In which month</b>"}], "max_tokens": 20, "temperature": 0})
    shown = browser.value("document.querySelector('.assistant').textContent")
    check(shown == answer["choices"][0]["message"]["content"], f"the reply: {shown!r}")
    say(browser, "And then?")
    check(wait_for(browser, "document.querySelectorAll('.figures').length === 2 && " + done), "a second turn")
    browser.value("document.getElementById('limit').value = 99999")
    say(browser, "Too much")
    check(wait_for(browser, "document.querySelectorAll('.error').length === 1 && " + done), "an error is shown")
    check("expected at most" in browser.value("document.querySelector('.error').textContent"), "with its message")


def main():
    program, root = sys.argv[1:]
    found = find_browser()
    if found is None:
        print("SKIPPED: there is no Chromium")
        return
    with Server(program, os.path.join(root, "models/nano/nano-moe"), "--chat-template",
                os.path.join(root, "tests/serve/chat.jinja")) as server:
        browser = Browser(found)
        try:
            conversation(browser, server)
        finally:
            browser.close()
    finish()


if __name__ == "__main__":
    main()
