#!/usr/bin/env python3
"""Writes what jinja2 3.1.6 makes of our own templates: tests/data/template_language.jsonl, and the renders beside
the templates in tests/data/templates.

    v/bin/pip install jinja2==3.1.6 && v/bin/python tests/templates/make_language_cases.py

One template of the language per line below; jinja2 is set up as in against_jinja2.py. \\n in a line stands for a line end.
"""

import json
import pathlib

import jinja2

from against_jinja2 import expected, kind_of, reference

VARIABLES = {
    "s": "Hello, World", "u": "日本語 ｜ß ΑΣ", "n": 7, "f": 2.5, "b": True, "none_": None,
    "xs": [3, 1, 2], "words": ["pear", "Apple", "fig"], "d": {"b": 1, "a": [2, 3], "items": "key"},
    "msgs": [{"role": "user", "content": "hi", "n": 2}, {"role": "assistant", "content": "yo", "n": 1},
             {"role": "user", "content": None, "tool": {"name": "t"}, "n": 3}],
}

LINES = r"""
text only
a\n
a\n\n
\n
  {{ 1 }}\n
  {% if 1 %}\n  x\n  {% endif %}\n  y
a {%- if 1 -%} b {%- endif -%} c
a {%+ if 1 +%}\n b {%+ endif %}\n c
{% if 1 %}\n\nx{% endif %}
{#- c -#} x {# y #}\n z
  {# indented #}\nx
a{# one\ntwo #}b
{{- 1 -}} \n {{- 2 }}
{% raw %}{{ a }} {% b %}{% endraw %}
x {%- raw -%} {{ a }} {%- endraw -%} y
{% raw %}\n a\n{% endraw %}\nb
{{ '}}' }} {{ {'a': {'b': 1}} }}
{{ "a" 'b' }}
{{ 'a\\nb\\tc\\x41\\u00e9\\101\\q\\'' }}
{{ 1_000 + 0x1f + 0b11 + 0o17 }} {{ 1.5e3 }} {{ 1e2 }} {{ 3.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 123456789012345.0 }}
{{ 0.1 + 0.2 }} {{ 1e22 }} {{ 1e15 }} {{ -0.0 }} {{ 5e-324 }} {{ 1.7976931348623157e308 * 10 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}
{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 1 / 3 }}
{{ -2 ** 2 }} {{ -2 ** xs[2] }} {{ (1 - 3) ** xs[2] }} {{ n ** 2 }} {{ (-n) ** 2 }} {{ not 1 == 2 }} {{ 1 if 0 else 2 if 0 else 3 }}
{{ 1 + 2 ~ 3 }} {{ 1 ~ 2 * 3 }} {{ 'a' ~ none ~ true ~ 1.0 ~ [1] }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 3 > 2 >= 2 }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ 'ab' * 3 }} {{ 2 * [1] }} {{ 'x' * -1 }}
{{ 1 / 0 }}
{{ 5 % 0 }}
{{ true + true }} {{ -true }} {{ true == 1 }} {{ {1: 'a', true: 'b'} }}
{{ 1 in [1, 2] }} {{ 'ell' in s }} {{ 'a' in d }} {{ 'z' not in d }} {{ 2 in (1, 2) }} {{ 5 in range(6) }}
{{ 1 in 'a' }}
{{ 1 in 5 }}
{{ 1 and 0 or 'x' }} {{ '' or 'y' }} {{ 0 and missing.x }} {{ not none }}
{{ [1, 'a', none, true, 2.0, 'it\\'s', "q\"", 'b\\\\', '\\n', 'é', '\\x01'] }}
{{ (1,) }} {{ () }} {{ (1, 2) }} {{ [] }} {{ {} }} {{ {'a': 1, 2: [3]} }}
{{ u|length }} {{ u[0] }} {{ u[-1] }} {{ u[1:3] }} {{ u[::-1] }} {{ u[::2] }} {{ u.upper() }} {{ u.lower() }} {{ u.title() }}
{{ s[100] }}|{{ s[1:100] }}|{{ s[:-3] }}|{{ s[-3:] }}|{{ s[5:2] }}|{{ xs[::-1] }}|{{ xs[1:] }}|{{ range(10)[2:8:3] }}
{{ s[::0] }}
{{ d[1:2] }}
{{ xs['a'] }}|{{ xs[9] }}|{{ d['zz'] }}|{{ d.zz }}|{{ none_.x }}|{{ s.nope }}|{{ n.real }}
{{ missing }}|{{ missing is defined }}|{{ d.zz is undefined }}|{{ missing ~ 'x' }}|{{ missing|length }}|{{ missing == nope }}
{{ missing.x }}
{{ missing['x'] }}
{{ missing() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ -missing }}
{{ missing < 1 }}
{{ d.zz.y }}
{% for x in missing %}x{% else %}none{% endfor %}
{% for x in none_ %}x{% endfor %}
{% for x in 5 %}x{% endfor %}
{{ d.items }}
{{ d['items'] }} {{ d.a }} {{ d['a'] }} {{ d.get('b') }} {{ d.get('q', 'x') }} {{ d.get('q') }}
{{ d.items()|list }} {{ d.keys() }} {{ d.values() }} {{ d|list }} {{ d|length }}
{{ xs.append(4) }}
{{ d.update({}) }}
{{ d.pop }}|{{ xs.append }}|{{ s.__class__ }}
{{ s.__class__.x }}
{{ missing.__class__ }}|{{ missing|attr('__class__') }}
{{ missing.__nothing__ }}
{{ true[1:] }}|{{ 'abc'[1:] }}
{% if true[1:] %}{% endif %}
{{ msgs[:1]|groupby('role')|pprint }}
{{ d.pop() }}
{% set xs2 = xs.copy() %}{{ xs2 }} {{ xs.index(1) }} {{ xs.count(3) }} {{ xs.index(99) }}
{% if missing %}a{% elif n > 5 %}b{% else %}c{% endif %}
{% if 0 %}a{% elif '' %}b{% else %}c{% endif %}
{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}
{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for a, (b, c) in [(1, (2, 3)), (4, [5, 6])] %}{{ a }}{{ b }}{{ c }} {% endfor %}
{% for a, b in [[1]] %}{{ a }}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for a, b in [1] %}{{ a }}{% endfor %}
{% for x in xs if x > 1 %}{{ x }}{{ loop.length }} {% else %}none{% endfor %}
{% for x in xs if x > 9 %}{{ x }}{% else %}none{% endfor %}
{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in xs %}{% continue %}{% else %}E{% endfor %}
{% for x in xs %}{% break %}{% else %}E{% endfor %}
{% for x in [1, 2] %}{% for y in 'ab' %}{{ loop.index }}{{ y }}{% endfor %}{{ loop.index }} {% endfor %}
{% for x in [1, [2, [3]]] recursive %}{{ x if x is number else loop(x) }}.{{ loop.depth }} {% endfor %}
{% for x in xs %}{{ loop(x) }}{% endfor %}
{% for x in xs %}{% set loop = 1 %}{% endfor %}
{% break %}
{% for x in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{% set x = i * 10 %}{{ x }} {% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% for i in [1, 2] %}{% if i == 1 %}{% set y = 5 %}{% endif %}{{ y }}|{% endfor %}{{ y }}
{% set ns = namespace(a=1, b='x') %}{% for i in xs %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns }} {{ ns['b'] }} {{ ns.zz }}
{% set d.x = 1 %}
{% set ns = namespace(_a=1) %}
{% set ns = namespace() %}{% set ns._a = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}
{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }}
{% set x | upper | replace('A', 'z') %}a{{ n }}b{% endset %}{{ x }}
{% set t = 1, 2 %}{{ t }}
{% set true = 1 %}
{% set 'a' = 1 %}
{% macro m(a, b=2, c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=4) }}{{ m() }}{{ m(b=5) }}
{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(q=2) }}
{% macro m(a, b=1, c) %}{% endmacro %}
{% macro m(a, a) %}{% endmacro %}
{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(3) %}{{ y * 2 }}{% endcall %}
{% macro m() %}{{ caller is defined }}{{ caller() }}{% endmacro %}{{ m() }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro m() %}{{ g }}{% endmacro %}{% set g = 1 %}{{ m() }}{% set g = 2 %}{{ m() }}
{{ m() }}{% macro m() %}x{% endmacro %}
{% macro m(a, b) %}{% endmacro %}{{ m.name }} {{ m.arguments }} {{ m.catch_kwargs }} {{ m }}
{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% filter upper|replace('B', '-') %}abc{{ s }}{% endfilter %}
{% print 1, 'a' %}
{% generation %}a{% set q = 1 %}{% endgeneration %}{{ q }}
{% block one %}x{{ n }}{{ zz }}{% endblock %}{% set zz = 1 %}{{ self.one() }}
{% set zz = 1 %}{% for i in xs %}{% block b scoped %}{{ i }}{{ zz }} {% endblock %}{% endfor %}
{% for i in xs %}{% block c %}{{ i }}{% endblock %}{% endfor %}
{% block a %}{{ super() }}{% endblock %}
{% block a %}{% endblock %}{% block a %}{% endblock %}
{% include 'x' %}
{% if 0 %}{% include 'x' %}{% import 'y' as z %}{% endif %}ok
{% extends 'x' %}
{% for x in xs %}{% extends 'x' %}{% endfor %}
{% autoescape false %}{{ '<' }}{% set q = 1 %}{% endautoescape %}{{ q }}
{% unknown %}
{% if 1 %}
{% endif %}
{% for x in xs %}{% endif %}
{{ 1
{{ }}
{{ 1 2 }}
{{ (1 }}
{{ [1 }}
{% set %}
{# open
{% raw %}
{{ 'open }}
{{ a! }}
{{ $ }}
{{ x|nofilter }}
{% if 0 %}{{ x|nofilter }}{% endif %}ok
{% if 1 %}{{ 1|nofilter }}{% endif %}
{{ 1 if 1 else x|nofilter }}
{{ x is notest }}
{{ f(a=1, a=2) }}
{{ raise_exception('no ' ~ n) }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %a %A %b %B %j %d %-d %e %I %p %y %U %W %V %G %u %w %% %F %T %D %R') }}
{{ range(3) }} {{ range(1, 7, 2)|list }} {{ range(3, 0, -1)|list }} {{ range(2) == range(0, 2) }}
{{ range(1.5) }}
{{ range(0, 5, 0) }}
{{ range(100001) }}
{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'a': 1}, a=3) }} {{ dict.fromkeys('ab', 0) }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}
{% set j = joiner('|') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}
{{ s|upper }} {{ s|lower }} {{ s|title }} {{ s|capitalize }} {{ 'aB-cd (ef'|title }} {{ 'éa ß'|title }} {{ "it's"|title }} {{ "it's".title() }}
{{ '  a '|trim }}| {{ 'xxaxx'|trim('x') }} {{ '\\u3000a\\u2003'|trim }}| {{ 5|trim }}
{{ s|replace('l', 'L') }} {{ s|replace('l', 'L', 1) }} {{ s|replace('', '-') }} {{ 5|replace(5, 6) }} {{ 'aaa'.replace('aa', 'b') }}
{{ xs|join }} {{ xs|join(', ') }} {{ msgs|join('/', attribute='role') }} {{ 'abc'|join('-') }} {{ d|join }}
{{ xs|first }} {{ xs|last }} {{ 'abc'|first }} {{ []|first }} {{ []|last }} {{ d|first }} {{ d|last }}
{{ xs|sort }} {{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ words|sort(reverse=true) }} {{ msgs|sort(attribute='n')|map(attribute='n')|list }}
{{ [1, 'a']|sort }}
{{ xs|min }} {{ xs|max }} {{ words|min }} {{ []|min }} {{ xs|sum }} {{ xs|sum(start=10) }} {{ msgs|sum(attribute='n') }} {{ []|sum }}
{{ ['a']|sum }}
{{ xs|reverse|list }} {{ 'abc'|reverse }} {{ xs|list }} {{ 'abc'|list }}
{{ 5|reverse }}
{{ [1, 1.0, true, 2, 'a', 'A', 'b']|unique|list }} {{ ['a', 'A']|unique(true)|list }}
{{ [[1], [1]]|unique|list }}
{{ msgs|map(attribute='role')|list }} {{ words|map('upper')|list }} {{ msgs|map(attribute='tool.name', default='-')|list }} {{ [[1, 2], [3, 4]]|map('first')|list }}
{{ xs|map('nofilter')|list }}
{{ xs|map|list }}
{{ msgs|selectattr('role', 'equalto', 'user')|list|length }} {{ msgs|rejectattr('tool', 'defined')|list|length }} {{ msgs|selectattr('content')|map(attribute='content')|join }}
{{ xs|select('gt', 1)|list }} {{ xs|reject('odd')|list }} {{ [0, 1, '', 'a']|select|list }} {{ xs|select('in', [1, 2])|list }}
{{ xs|select('nope')|list }}
{% set g = xs|select %}{{ g|list }}{{ g|list }}
{{ (xs|select)|length }}
{{ (xs|map('string'))[0] }}|{{ xs|map('string')|first }}
{{ xs|map('string')|last }}
{{ xs|batch(2)|list }} {{ xs|batch(2, 'x')|list }} {{ xs|slice(2)|list }} {{ xs|slice(2, 'x')|list }}
{{ d|dictsort }} {{ {'B': 1, 'a': 2}|dictsort }} {{ {'B': 1, 'a': 2}|dictsort(true) }} {{ {'a': 2, 'b': 1}|dictsort(by='value') }} {{ {'a': 2, 'b': 1}|dictsort(reverse=true) }}
{{ d|dictsort(by='x') }}
{{ d|items|list }} {{ missing|items|list }} {{ xs|items|list }}
{% for g in msgs|groupby('role') %}{{ g.grouper }}:{{ g.list|length }}{{ g[0] }} {% endfor %}{{ msgs|groupby('n')|map('first')|list }}
{{ '3'|int }} {{ '3.7'|int }} {{ 'x'|int }} {{ 'x'|int(9) }} {{ '0x1f'|int(0, 16) }} {{ '12'|int(base=8) }} {{ 3.9|int }} {{ -3.9|int }} {{ none_|int }} {{ ' 4 '|int }} {{ '1_0'|int }} {{ true|int }}
{{ missing|int }}
{{ '2.5'|float }} {{ 'x'|float }} {{ 'x'|float(1.5) }} {{ 3|float }} {{ '1e3'|float }} {{ 'inf'|float }} {{ none_|float }}
{{ -5|abs }} {{ (-5)|abs }} {{ -2.5|abs }}
{{ 'a'|abs }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 42.55|round(1, 'floor') }} {{ 42.51|round(0, 'ceil') }} {{ 5|round }} {{ 1234|round(-2) }} {{ 1250.0|round(-2) }} {{ 0.5|round }}
{{ 1|round(1, 'nope') }}
{{ missing|default('x') }} {{ ''|default('x') }} {{ ''|default('x', true) }} {{ none_|default('x') }} {{ none_|d('x', boolean=true) }} {{ missing|default }}
{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent(1, blank=true) }}|{{ 'a\\nb'|indent('> ') }}
{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz qux'|truncate(11) }} {{ 'foo bar baz qux'|truncate(11, false, '...', 0) }}
{{ 'abc'|truncate(1) }}
{{ 'a b  c-d'|wordcount }} {{ 'the quick brown fox'|wordwrap(10) }} {{ 'abcdefghij kl'|wordwrap(4) }} {{ 'well-known words'|wordwrap(6) }}
{{ 'ab'|center(6) }}| {{ '%s and %d'|format('a', 3) }} {{ '%(x)s'|format(x=1) }}
{{ '<a&"\\'>'|e }} {{ ('<b>'|safe) ~ '<i>' }} {{ ('<b>'|safe) + '<i>' }} {{ '<i>' + ('<b>'|safe) }} {{ ['<'|e] }} {{ '<'|e|e }} {{ '<'|e|forceescape }}
{{ '<p>a <b>c</b></p>  &lt;x&gt; <!-- n -->'|striptags }}
{{ 'a b/c?ü'|urlencode }} {{ {'a b': 'c/d', 'e': 1}|urlencode }}
{{ {'class': 'x', 'id': none, 'n': 1}|xmlattr }}
{{ 100|filesizeformat }} {{ 1000|filesizeformat }} {{ 1536|filesizeformat(true) }} {{ 123456789|filesizeformat }}
{{ d|tojson }} {{ [1.0, 1e20, 1e-7, true, none, 'é\\n"\\\\/\\t\\x01']|tojson }} {{ {'b': 1, 'a': {'c': []}}|tojson(indent=2) }}
{{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ 'é😀'|tojson(ensure_ascii=true) }} {{ [1, 2]|tojson(separators=(',', ':')) }} {{ [[], {}]|tojson(indent=1) }}
{{ {1: 2, none: 3, true: 4, 2.5: 5}|tojson }} {{ (1, 2)|tojson }} {{ [1]|tojson(indent='--') }} {{ [1]|tojson(indent=0) }} {{ '<&>'|tojson }}
{{ missing|tojson }}
{{ range(3)|tojson }}
{{ {(1, 2): 3}|tojson }}
{{ [2, 1]|pprint }} {{ {'b': 1, 'a': 2}|pprint }} {{ 5|string }} {{ none|string|length }} {{ 'a,b'.split(',')|last }}
{{ d|attr('get') is callable }} {{ d|attr('b') is undefined }} {{ s|attr('upper')() }}
{{ 'a b  c'.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split(' ') }} {{ 'a b c'.rsplit(' ', 1) }} {{ ''.split() }} {{ ''.split(',') }}
{{ 'a'.split('') }}
{{ 'a'.partition('') }}
{{ 'a\\nb\\r\\nc\\x0bd'.splitlines() }} {{ 'a\\nb'.splitlines(true) }} {{ 'xay'.partition('a') }} {{ 'xaya'.rpartition('a') }} {{ 'x'.partition('q') }}
{{ 'a\\x1cb\\x1dc\\x1ed'.splitlines() }} {{ 'a\\x85b\\u2028c\\u2029d'.splitlines() }} {{ 'q'.rpartition('x') }}
{{ s.startswith('He') }} {{ s.endswith(('x', 'ld')) }} {{ s.startswith('e', 1) }} {{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ s.count('l') }} {{ u.find('語') }}
{{ s.index('zz') }}
{{ s.startswith(1) }}
{{ ' x '.strip() }}|{{ ' x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ 'xyx'.strip('x') }}|{{ 'abc'.removeprefix('a') }}|{{ 'abc'.removesuffix('c') }}
{{ 'zyxazyx'.strip('zyx') }}|{{ 'zyxazyx'.lstrip('zyx') }}|{{ 'zyxazyx'.rstrip('zyx') }}
{{ 'a'.strip(1) }}
{{ ','.join(['a', 'b']) }} {{ '-'.join('abc') }} {{ ''.join(['q']) }}
{{ ','.join([1]) }}
{{ ('<'|safe).join(['<a>', '<b>'|safe]) }} {{ '{}'|safe|e }} {{ ('<b>'|safe).join(['a', 'b'])|e }}
{{ 'ß'.upper() }} {{ 'ŉ'.title() }} {{ 'ΑΣ'.lower() }} {{ 'ΣΑΣ Σ'.lower() }} {{ 'İ'.lower()|length }} {{ 'ǆ'.title() }} {{ 'aB'.swapcase() }} {{ 'Straße'.casefold() }} {{ 'éa'.capitalize() }}
{{ '12'.isdigit() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '½'.isnumeric() }} {{ 'aé'.isalpha() }} {{ 'a1'.isalnum() }} {{ ''.isalpha() }} {{ 'A1'.isupper() }} {{ ' \\t'.isspace() }} {{ 'Ab Cd'.istitle() }} {{ 'a_1'.isidentifier() }}
{{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'a'.ljust(3) }}| {{ 'a'.rjust(3, '.') }} {{ 'a'.center(4, '*') }} {{ 'ab'.center(5, '*') }} {{ 'a\\tb'.expandtabs(4) }}
{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format(1, 2) }} {{ '{a}'.format(a=3) }} {{ '{0.x}|{0[b]}'.format(d) }} {{ '{:>5}|{:<5}|{:^5}'.format(1, 'a', 'b') }} {{ '{:05.1f} {:x} {:,}'.format(2.25, 255, 1234567) }} {{ '{{}}'.format() }} {{ '{!r}'.format('a') }}
{{ '{}'.format() }}
{{ '{'.format() }}
{{ '{:d}'.format('a') }}
{{ '{:+} {: } {:-}'.format(3, 4, 5) }} {{ '{:#x} {:#o} {:#b}'.format(255, 8, 5) }} {{ '{:_} {:_x} {:012,} {:09_}'.format(1234567, 1048575, 1234.5, 1234) }}
{{ '{:.2}|{:5.1}|{:^4}|{:*^5}'.format('abc', 'xyz', 'a', 'ab') }} {{ '{:e} {:.1f} {:%}'.format(3, 7, 1) }} {{ '{:^6}|{:^5}'.format(1, 12) }}
{{ '{:{}}|{:>{w}}'.format('a', 4, 'b', w=3) }} {{ '{0[1]} {1[a]} {1[a][0]}'.format([1, 2], {'a': [5]}) }} {{ '{0[!]} {0[:]:>3}'.format({'!': 1, ':': 2}) }} {{ '{!s:>6}|{:>6}'.format(true, true) }} {{ 'a}}b{{c'.format() }}
{{ ('<{}>{}'|safe).format('<a>', '<b>'|safe) }} {{ '{a} {b}'.format_map({'a': 1, 'b': 'x'}) }}
{{ '{:+}'.format('a') }}
{{ '{:#}'.format('a') }}
{{ '{:=5}'.format('a') }}
{{ '{:.}'.format(1.5) }}
{{ '{:5xy}'.format(1) }}
{{ 'a}b'.format() }}
{{ '{:{:{}}}'.format('a', 4, 1) }}
{{ '{a{b}}'.format(a=1, b=2) }}
{{ '{!}'.format(1) }}
{{ '{!rx}'.format(1) }}
{{ '{!q}'.format(1) }}
{{ '{0.}'.format(1) }}
{{ '{0[]}'.format([1]) }}
{{ '{0[a}'.format(d) }}
{{ '{0[b]c}'.format(d) }}
{{ '{0} {}'.format(1, 2) }}
{{ '{} {0}'.format(1, 2) }}
{{ '{q}'.format(a=1) }}
{{ ('{:>3}'|safe).format('a'|safe) }}
{{ '{:5}'.format([1]) }}
{{ '{:s}'.format(1) }}
{{ '{:.2d}'.format(1) }}
{{ '{:,x}'.format(255) }}
{{ '{:d}'.format(1.5) }}
{{ '{a}'.format_map(1) }}
{{ '{}'.format_map({'a': 1}) }}
{{ '{a}'.format_map({'a': 1}, 2) }}
{{ '%s' % 1 }} {{ '%d %5.2f %x %o %e' % (3, 2.5, 255, 8, 12345.678) }} {{ '%-5s|%5s' % ('a', 'b') }} {{ '%%' % () }} {{ '%(a)s' % {'a': 1} }} {{ '%r' % ('q',) }} {{ '%05d' % 42 }} {{ '%+d' % 3 }}
{{ '%s %s' % 1 }}
{{ '%d' % 'a' }}
{{ 'a' % 1 }}
{{ 1 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is number }} {{ true is number }} {{ 1.0 is float }} {{ true is integer }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is sequence }} {{ 5 is iterable }} {{ none is none }}
{{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 3 is gt 2 }} {{ 3 is lessthan 2 }} {{ 1 is in [1] }} {{ 'a' is lower }} {{ 'A' is upper }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is sameas none }} {{ s is callable }} {{ range is callable }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'x' is not defined }} {{ '<'|e is escaped }} {{ true is boolean }}
{{ 'a' is odd }}
{{ 1 is string is string }}
{{ xs is sequence and xs is not mapping }} {{ not xs is mapping }} {{ 1 is number and 'a' is string or false }}
{{ [x for x in xs] }}
{{ {'a': 1}.a }} {{ {'a': {'b': [5]}}.a.b[0] }} {{ xs.0 }} {{ [1, 2].1 }} {{ 'abc'.upper().lower()[1] }} {{ (1, 2)[0] }}
{{ xs[missing] }}|{{ d[[1]] }}|{{ d[none] }}
{{ {[1]: 2} }}
{{ range(3)|list|map('string')|join('')|int + 1 }}
{{ 'a' if missing }}|{{ ('a' if missing) is undefined }}
{{ ('a' if missing).x }}
{{ dict(**{'a': 1}) }} {{ dict(*[[['k', 1]]]) }}
{{ dict(*1) }}
{{ dict(**1) }}
{{ s(1) }}
{{ 1() }}
{#
{{ '  a    b   c   '.split(none, 1) }}
{{ '  a    b   c   '.rsplit(none, 1) }}
{{ 'user text \\n'.split(none, 1) }}
{{ '   '.split(none, 0) }} {{ ' a '.split(none, 0) }} {{ ' a '.rsplit(none, 0) }}
{{ '  a b '.rsplit(none, 3) }}
{{ '{:>05d}'.format(42) }} {{ '{:<05d}'.format(3) }} {{ '{:^05}'.format(3) }} {{ '{:>05}'.format('a') }} {{ '{: >05d}'.format(42) }} {{ '{:x>05d}'.format(42) }} {{ '{:=05d}'.format(-3) }} {{ '{:05d}'.format(-3) }} {{ '{:<06.1f}'.format(2.5) }} {{ '{:0>5}'.format('a') }} {{ '{:05}'.format('a') }} {{ '{:^06}'.format(-2) }} {{ '{:>07,}'.format(1234) }} {{ '{:07,}'.format(1234) }}
"""

USER = {"role": "user", "content": "Ahoj, <|x|> 日本\n"}
CONVERSATIONS = {
    "one_turn": {"messages": [USER], "add_generation_prompt": True},
    "system": {"messages": [{"role": "system", "content": " Short. "}, USER], "add_generation_prompt": False},
    "answers": {"messages": [USER, {"role": "assistant", "content": "<t>\nhm</t>\nyes"}, USER,
                             {"role": "assistant", "content": "<t>so</t>no"}]},
    "two_users": {"messages": [USER, USER], "add_generation_prompt": True},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"},
                                                        {"type": "text", "text": "b"}]}]},
    "tools": {"messages": [USER, {"role": "assistant", "content": None, "calls": [
        {"name": "f", "arguments": {"q": "é\"", "n": [1, 2.5, None]}}]}], "tools": [{"name": "f", "schema": {"q": {}}}]},
    "no_thinking": {"messages": [USER], "add_generation_prompt": True, "think": False},
}


def write_renders(env, folder):
    for source in sorted(folder.glob("*.jinja")):
        with source.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
            for name, kwargs in CONVERSATIONS.items():
                kwargs = {"bos_token": "<s>", "eos_token": "</s>", **kwargs}
                text, error = expected(env, source.read_text(encoding="utf-8"), kwargs)
                outcome = {"expected": text} if error is None else {"error": "%s: %s" % (type(error).__name__, error)}
                file.write(json.dumps({"name": name, "kwargs": kwargs, **outcome}, ensure_ascii=False) + "\n")


def main():
    env = reference()
    root = pathlib.Path(__file__).resolve().parents[2]
    write_renders(env, root / "tests/data/templates")
    out = root / "tests/data/template_language.jsonl"
    with out.open("w", encoding="utf-8") as file:
        file.write(json.dumps({"variables": VARIABLES, "jinja2": jinja2.__version__}, ensure_ascii=False) + "\n")
        for line in LINES.strip("\n").split("\n"):
            template = line.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
            text, error = expected(env, template, VARIABLES)
            if text is not None and " at 0x" in text:
                continue
            case = {"template": template}
            if error is None:
                case["expected"] = text
            else:
                case.update(kind=kind_of(error), exception=type(error).__name__, error=str(error))
            file.write(json.dumps(case, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
