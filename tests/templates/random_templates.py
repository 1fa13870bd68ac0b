"""Random templates and the variables they are rendered with."""

GREEK = "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔΣΩ"
TEXTS = ["", " ", "α", "αβγ", " αβ γδ ", "α\nβ\n\nγ", "α-β δ", "Σας", "αβαβα", "α<β>&'\"", "α\tβ", "ω\\n", "123", "4.5",
         "-7", "αα,ββ,γγ", "ΑΒΓ", "Αβγ Δεζ", "αβ" * 12, "{{ α }}", "α%s", "α{}β", "ψ\u2028χ", "α\u00a0"]


class Maker:
    """Writes one random template."""

    def __init__(self, rng):
        self.rng = rng
        self.names = ["s", "t", "n", "m", "f", "b", "z", "xs", "ys", "d", "msgs", "e", "none_", "missing"]
        self.of_kind = {
            "str": ["s", "t"], "int": ["n", "m"], "float": ["f"], "list": ["xs", "ys", "msgs", "e"], "dict": ["d"],
            "bool": ["b"],
        }
        self.macros = []
        self.spaces = []
        self.loops = 0
        self.wrong = rng.choice([0, 0, 0, 0.03, 0.1])  # how often an expression has another type than its place wants

    def variables(self):
        rng = self.rng

        def value(depth):
            kind = rng.randrange(8 if depth else 5)
            if kind == 0:
                return rng.choice(TEXTS)
            if kind == 1:
                return rng.choice([0, 1, -1, 2, 3, 7, 10, 255, -12, 2**40])
            if kind == 2:
                return rng.choice([0.0, 1.0, -2.5, 0.1, 3.14159, 1e20, 1e-7, 1e16, 123456.789, 2.675])
            if kind == 3:
                return rng.choice([True, False, None])
            if kind == 4:
                return rng.choice(TEXTS)
            if kind in (5, 6):
                return [value(depth - 1) for _ in range(rng.randrange(4))]
            return {k: value(depth - 1) for k in rng.sample(["a", "b", "κ", "items", "Β", "x"], rng.randrange(4))}

        def text():
            return rng.choice(TEXTS)

        return {
            "s": text(), "t": text(), "n": rng.randrange(-3, 12), "m": rng.randrange(0, 5),
            "f": rng.choice([0.5, 1.0, -2.25, 1e3, 2.5]), "b": rng.random() < 0.5, "z": value(2),
            "xs": [rng.choice([text(), rng.randrange(9), text()]) for _ in range(rng.randrange(6))],
            "ys": rng.choice([[rng.randrange(-5, 9) for _ in range(rng.randrange(6))], [text() for _ in range(3)]]),
            "d": {k: value(1) for k in rng.sample(["a", "b", "κ", "items", "role", "get", "γ"], rng.randrange(6))},
            "e": [], "none_": None,
            "msgs": [
                {"role": rng.choice(["user", "system", "ρ"]), "content": text(), "n": rng.randrange(3),
                 **({"tool": value(1)} if rng.random() < 0.3 else {})}
                for _ in range(rng.randrange(4))
            ],
        }

    # Expressions. `kind` is what the place would like; now and then it gets something else.
    def expr(self, kind="any", depth=3):
        rng = self.rng
        if kind == "any" or rng.random() < self.wrong:
            kind = rng.choice(["str", "str", "int", "float", "list", "dict", "bool", "name"])
        if depth <= 0 or rng.random() < 0.15:
            return self.leaf(kind)
        return getattr(self, "make_" + kind, self.make_name)(depth - 1)

    def leaf(self, kind):
        rng = self.rng
        if kind in self.of_kind and rng.random() < 0.6:
            return rng.choice(self.of_kind[kind])
        if kind == "str":
            return rng.choice(["'a'", "'b c'", "''", '"x\\ny"', "'a,b'", "' q '", "'Ab-cd'", "'%s'", "'{}'", "'a' 'b'",
                               "'\\u00e9\\x41'", "'<i>'", "'it''s'", "'-'", "','", "'aXbX'"])
        if kind == "int":
            return rng.choice(["0", "1", "2", "-1", "3", "10", "1_0", "0x1f", "7"])
        if kind == "float":
            return rng.choice(["0.5", "1.0", "2.5", "1e3", "-0.25", "1.5e-5"])
        if kind == "list":
            return rng.choice(["[]", "[1, 2, 3]", "['b', 'a']", "(1, 'x')", "range(4)", "[1, 'a', none]", "[[1, 2], [3, 4]]"])
        if kind == "dict":
            return rng.choice(["{}", "{'a': 1}", "{'b': [1], 'a': 'x'}", "{1: 2, 'k': none}", "dict(a=1, b='q')"])
        if kind == "bool":
            return rng.choice(["true", "false", "True", "none"])
        return rng.choice(self.names)

    def make_name(self, depth):
        return self.rng.choice(self.names)

    def make_str(self, depth):
        rng, e = self.rng, self.expr
        filters = ["upper", "lower", "trim", "title", "capitalize", "string", "safe", "e", "length|string", "reverse",
                   "first", "last", "list|join", "wordcount|string", "striptags", "urlencode", "center(12)", "forceescape",
                   "truncate(%d)" % rng.randrange(3, 9), "truncate(7, true, '..', 0)", "indent", "indent(2, true)",
                   "indent('> ', first=true, blank=true)", "replace('a', 'Z')", "replace(%s, %s)" % (e("str", 0), e("str", 0)),
                   "replace('', '-', 2)", "default('dd')", "default('dd', true)", "wordwrap(%d)" % rng.randrange(1, 9),
                   "wordwrap(6, break_long_words=false)", "format(%s)" % e("any", 0), "tojson", "trim('a ')", "int|string",
                   "float|string", "escape|upper", "xmlattr", "pprint", "d", "filesizeformat"]
        methods = ["upper()", "lower()", "strip()", "lstrip()", "rstrip('a ')", "title()", "capitalize()", "swapcase()",
                   "replace('a', 'bb')", "replace(%s, %s, 1)" % (e("str", 0), e("str", 0)), "split()|join('|')",
                   "split(',')|last", "split('a', 1)|first", "rsplit(' ', 1)|list|string", "join(%s)" % e("list", 0),
                   "zfill(6)", "center(9, '*')", "ljust(5)|string", "rjust(7, '.')", "removeprefix('a')",
                   "removesuffix(%s)" % e("str", 0), "splitlines()|string", "partition(',')|string", "format(%s)" % e("any", 0),
                   "expandtabs(4)", "casefold()", "rpartition('b')[2]", "splitlines(true)|tojson", "strip(%s)" % e("str", 0)]
        pick = rng.randrange(12)
        if pick < 3:
            return "(%s)|%s" % (e(rng.choice(["str", "str", "any"]), depth), rng.choice(filters))
        if pick < 5:
            return "(%s).%s" % (e("str", depth), rng.choice(methods))
        if pick == 5:
            return "(%s ~ %s)" % (e("any", depth), e("any", depth))
        if pick == 6:
            return "(%s + %s)" % (e("str", depth), e("str", depth))
        if pick == 7:
            return "(%s)[%s]" % (e("str", depth), self.subscript(depth))
        if pick == 8:
            return "(%s if %s else %s)" % (e("str", depth), e("bool", depth), e("str", depth))
        if pick == 9:
            return "(%s)|%s" % (e("any", depth), rng.choice(
                ["tojson", "tojson(indent=2)", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "string", "join('-')",
                 "tojson(separators=(',', ':'))", "tojson(indent=1, sort_keys=true)"]))
        if pick == 10:
            return "(%s)" % rng.choice([
                "'%%s|%%5s|%%-4s|' %% (%s, %s, %s)" % (e("any", 0), e("str", 0), e("int", 0)), "'%%05d %%+.2f %%x' %% (%s, %s, 255)" % (e("int", 0), e("float", 0)),
                "'%%(a)s' %% %s" % e("dict", 0), "'{:>8}|{:<6}|{:^7}'.format(%s, %s, %s)" % (e("str", 0), e("int", 0), e("float", 0)),
                "'{0}{1}{0}'.format(%s, %s)" % (e("any", 0), e("any", 0)), "'{x[a]} {x.b}'.format(x=%s)" % e("dict", 0),
                "'{:,.2f} {:e} {:g} {:%%}'.format(%s, 1234567.891, 0.00001, 0.256)" % e("float", 0), "'%r' % (s,)", "'{!r:>10}'.format(s)",
                "'%s %s' % (1,)", "'%d' % 'a'", "'{:08.3f}|{:+d}|{:#x}|{:b}'.format(%s, %s, 255, 5)" % (e("float", 0), e("int", 0))])
        return self.macro_call(depth)

    def macro_call(self, depth):
        if not self.macros:
            return self.leaf("str")
        name, count = self.rng.choice(self.macros)
        args = [self.expr("any", depth) for _ in range(self.rng.randrange(count + 1 + (self.rng.random() < 0.1)))]
        if self.rng.random() < 0.2:
            args.append("b=%s" % self.expr("any", 0))
        return "%s(%s)" % (name, ", ".join(args))

    def subscript(self, depth):
        rng = self.rng
        if rng.random() < 0.4:
            return self.expr("int", 0)
        part = lambda: rng.choice(["", "", "0", "1", "2", "-1", "-2", "n", "m"])
        return part() + ":" + part() + rng.choice(["", "", ":", ":2", ":-1", ":-2"])

    def make_int(self, depth):
        rng, e = self.rng, self.expr
        pick = rng.randrange(8)
        if pick < 3:
            return "(%s %s %s)" % (e("int", depth), rng.choice(["+", "-", "*", "//", "%", "%"]), e("int", depth))
        if pick == 3:
            return "(%s)|%s" % (e(rng.choice(["list", "str", "dict"]), depth), rng.choice(["length", "count"]))
        if pick == 4:
            return "(%s)|%s" % (e("any", depth), rng.choice(["int", "int(-1)", "abs", "round|int", "int(0, 16)"]))
        if pick == 5:
            return "(%s)|%s" % (e("list", depth), rng.choice(["sum", "min", "max", "sum(start=10)", "first", "last"]))
        if pick == 6:
            return "(%s).%s" % (e("str", depth), rng.choice(["find('a')", "count('a')", "rfind(%s)" % e("str", 0), "index('a')", "find('β', 1)"]))
        return "-%s" % e("int", 0)

    def make_float(self, depth):
        rng, e = self.rng, self.expr
        return rng.choice([
            lambda: "(%s / %s)" % (e("int", depth), e("int", depth)), lambda: "(%s * %s)" % (e("float", depth), e("int", depth)),
            lambda: "(%s)|round(%s)" % (e("float", depth), e("int", 0)), lambda: "(%s)|float" % e("any", depth),
            lambda: "(%s)|round(1, '%s')" % (e("float", depth), rng.choice(["ceil", "floor", "common"])),
            lambda: "(%s ** %s)" % (e("int", 0), e("int", 0)), lambda: "(%s // %s)" % (e("float", 0), e("float", 0)),
            lambda: "(%s %% %s)" % (e("float", 0), e("int", 0)), lambda: "(%s)|abs" % e("float", depth)])()

    def make_list(self, depth):
        rng, e = self.rng, self.expr
        pick = rng.randrange(10)
        if pick == 0:
            return "[%s]" % ", ".join(e("any", depth) for _ in range(rng.randrange(4)))
        if pick == 1:
            return "(%s + %s)" % (e("list", depth), e("list", depth))
        if pick == 2:
            return "(%s)[%s]" % (e("list", depth), self.subscript(depth))
        if pick == 3:
            return "(%s)|%s" % (e("dict", depth), rng.choice(["dictsort", "dictsort(by='value')", "items|list", "list", "dictsort(reverse=true)"]))
        if pick == 4:
            return "(%s).%s" % (e("dict", depth), rng.choice(["items()", "keys()", "values()", "items()|list", "keys()|list"]))
        if pick == 5:
            return "(%s)|%s" % (e("list", depth), rng.choice(
                ["map('upper')", "map('string')", "map('int')|list", "select('string')|list", "reject('none')|list", "select|list",
                 "map('length')|list", "select('odd')|list", "select('in', [1, 'a'])|list", "reject('equalto', 1)|list", "map('default', 'q')|list",
                 "map('replace', 'a', 'b')|list", "unique|list", "batch(2)|list", "batch(3, '-')|list", "slice(2)|list", "slice(3, 'f')|list",
                 "sort", "sort(reverse=true)", "reverse|list", "list", "unique(true)|list", "map('tojson')|list", "reverse", "select('gt', 2)|list"]))
        if pick == 6:
            return "msgs|%s" % rng.choice(
                ["map(attribute='content')|list", "selectattr('role', 'equalto', 'user')|list", "rejectattr('role', 'eq', 'system')|list",
                 "map(attribute='tool', default='none')|list", "selectattr('tool')|list", "selectattr('tool', 'defined')|list",
                 "map(attribute='content.0')|list", "groupby('role')", "groupby('n')|map('last')|list", "sort(attribute='content')",
                 "sort(attribute='role,n')", "sum(attribute='n')", "map(attribute='n')|sum", "unique(attribute='role')|list", "max(attribute='n')",
                 "join(',', attribute='role')", "selectattr('role', 'undefined')|list", "map('items')|map('list')|list", "groupby('tool', default='x')"])
        if pick == 7:
            return "(%s).%s" % (e("str", depth), rng.choice(["split()", "split(',')", "splitlines()", "split('a')", "rsplit(',', 1)"]))
        if pick == 8:
            return "range(%s)" % ", ".join(e("int", 0) for _ in range(rng.randrange(1, 4)))
        return "(%s * %s)" % (e("list", 0), rng.choice(["2", "m", "0"]))

    def make_dict(self, depth):
        rng, e = self.rng, self.expr
        if rng.random() < 0.3:
            return "dict(%s, a=%s)" % (e("dict", depth), e("any", 0))
        return "{%s}" % ", ".join("%s: %s" % (rng.choice(["'a'", "'b'", "1", "s", "n", "'items'", "true"]), e("any", depth)) for _ in range(rng.randrange(4)))

    def make_bool(self, depth):
        rng, e = self.rng, self.expr
        pick = rng.randrange(8)
        if pick == 0:
            kind = rng.choice(["int", "float", "str", "any"])
            return "(%s %s %s)" % (e(kind, depth), rng.choice(["==", "!=", "<", "<=", ">", ">="]), e(kind, depth))
        if pick == 1:
            return "(%s %s %s)" % (e("any", depth), rng.choice(["in", "not in"]), e(rng.choice(["list", "str", "dict", "any"]), depth))
        if pick == 2:
            return "(%s %s %s)" % (e("bool", depth), rng.choice(["and", "or"]), e("any", depth))
        if pick == 3:
            return "(not %s)" % e("any", depth)
        if pick == 4:
            return "(%s is %s%s)" % (e("any", depth), rng.choice(["", "not "]), rng.choice(
                ["defined", "undefined", "none", "string", "number", "mapping", "iterable", "sequence", "boolean", "true", "false", "integer",
                 "float", "odd", "even", "divisibleby 2", "divisibleby(3)", "callable", "lower", "upper", "in [1, 'a']", "eq 1", "sameas none",
                 "equalto('a')", "escaped", "gt 1", "filter", "test", "ne(2)", "lessthan 3"]))
        if pick == 5:
            return "(%s).%s" % (e("str", depth), rng.choice(
                ["startswith('a')", "endswith(%s)" % e("str", 0), "isdigit()", "isalpha()", "isspace()", "isupper()", "islower()", "isalnum()",
                 "startswith(('a', ' '))", "startswith('a', 1)", "isnumeric()", "istitle()", "isidentifier()", "isascii()"]))
        if pick == 6:
            return "(%s < %s <= %s)" % (e("int", 0), e("int", 0), e("int", depth))
        return self.access(depth)

    def access(self, depth):
        rng = self.rng
        target = self.expr(rng.choice(["dict", "list", "name", "str"]), min(depth, 1))
        return "(%s)%s" % (target, rng.choice(
            [".a", ".items", "['a']", "['items']", ".get('a')", ".get('q', 'dflt')", "[0]", ".role", "[-1]", ".κ", "['κ']", ".missing", ".x.y",
             ".append", ".upper", "[s]", "[n]", "['upper']", ".__class__", "[none]", ".0", ".keys", "|attr('a')", ".get('a', {}).b"]))

    # Statements.
    def block(self, depth):
        return "".join(self.statement(depth) for _ in range(self.rng.randrange(1, 4)))

    def tag(self, text):
        rng = self.rng
        return "{%" + rng.choice(["", "", "", "-", "+"]) + " " + text + " " + rng.choice(["", "", "", "-", "+"]) + "%}" + rng.choice(["", "", "\n", " ", "\n  "])

    def out(self, text):
        rng = self.rng
        return "{{" + rng.choice(["", "", "-"]) + " " + text + " " + rng.choice(["", "", "-"]) + "}}"

    def statement(self, depth):
        rng = self.rng
        pick = rng.randrange(20)
        if depth <= 0 or pick < 6:
            return self.out(self.expr("any", 3)) + rng.choice(["", "|", "\n", " "])
        if pick < 8:
            return rng.choice(["abc", " x\n", "\n\n  ", "  y", "{# note #}", "{#- cut -#}\n", "\t", "{% raw %}{{ r }}{% endraw %}", "# ", "}} %}"])
        if pick < 10:
            return self.assignment(depth)
        if pick < 13:
            return self.branch(depth)
        if pick < 16:
            return self.loop(depth)
        if pick == 16:
            return self.macro(depth)
        if pick == 17:
            return rng.choice([
                lambda: self.tag("with %s = %s" % (self.new_name(), self.expr())) + self.block(depth - 1) + self.tag("endwith"),
                lambda: self.tag("filter %s" % rng.choice(["upper", "trim", "replace('a', 'o')", "indent(2)|upper", "length"])) + self.block(depth - 1) + self.tag("endfilter"),
                lambda: self.tag("generation") + self.block(depth - 1) + self.tag("endgeneration"),
                lambda: self.tag("print %s, %s" % (self.expr(), self.expr())),
                lambda: self.tag("block blk%d" % rng.randrange(10**6)) + self.block(depth - 1) + self.tag("endblock"),
                lambda: self.tag("if %s" % self.expr("bool", 1)) + self.tag("include 'x'") + self.tag("endif")])()
        if pick == 18 and self.macros:
            name, _ = rng.choice(self.macros)
            return self.tag("call%s %s(%s)" % (rng.choice(["", "", "(u)"]), name, self.expr("any", 1))) + self.block(depth - 1) + self.tag("endcall")
        if self.loops and rng.random() < 0.5:
            return self.tag("if %s" % self.expr("bool", 1)) + self.tag(rng.choice(["break", "continue"])) + self.tag("endif")
        return self.out(self.expr("any", 4))

    def new_name(self):
        name = self.rng.choice(["v1", "v2", "v3", "s", "xs", "q"])
        if name not in self.names:
            self.names.append(name)
        return name

    def assignment(self, depth):
        rng = self.rng
        pick = rng.randrange(6)
        if pick == 0:
            return self.tag("set %s" % self.new_name() + rng.choice(["", " | upper", " | trim | title"])) + self.block(depth - 1) + self.tag("endset")
        if pick == 1:
            self.spaces.append("ns")
            self.names.append("ns.k")
            return self.tag("set ns = namespace(k=%s, l=[])" % self.expr())
        if pick == 2 and self.spaces:
            return self.tag("set ns.k = %s" % rng.choice([self.expr(), "ns.k ~ 'w'", "ns.l + [1]"]))
        if pick == 3:
            return self.tag("set %s, %s = %s, %s" % (self.new_name(), self.new_name(), self.expr(), self.expr()))
        return self.tag("set %s = %s" % (self.new_name(), self.expr()))

    def branch(self, depth):
        out = self.tag("if %s" % self.expr("bool", 3)) + self.block(depth - 1)
        if self.rng.random() < 0.3:
            out += self.tag("elif %s" % self.expr("bool", 2)) + self.block(depth - 1)
        if self.rng.random() < 0.5:
            out += self.tag("else") + self.block(depth - 1)
        return out + self.tag("endif")

    def loop(self, depth):
        rng = self.rng
        pair = rng.random() < 0.25
        target = "k, v" if pair else rng.choice(["x", "y", "s", "msg"])
        over = self.expr("dict", 1) + ".items()" if pair else self.expr("list", 2)
        condition = " if %s" % self.expr("bool", 2) if rng.random() < 0.25 else ""
        recursive = not pair and rng.random() < 0.08
        before = list(self.names)
        self.names += [part.strip() for part in target.split(",")] * 2 + rng.sample(
            ["loop.index", "loop.first", "loop.last", "loop.length", "loop.revindex", "loop.previtem", "loop.nextitem", "loop.index0",
             "loop.cycle('p', 'q')", "loop.changed(n)", "loop.depth", "loop.revindex0", "loop"], 3)
        self.loops += 1
        body = self.block(depth - 1)
        if recursive:
            body += self.out("loop(%s) if loop.depth < 3 else '.'" % rng.choice(["[1, 2]", "xs", "[x]"]))
        self.loops -= 1
        self.names = before
        if rng.random() < 0.25:
            body += self.tag("else") + self.block(depth - 1)
        return self.tag("for %s in %s%s%s" % (target, over, condition, " recursive" if recursive else "")) + body + self.tag("endfor")

    def macro(self, depth):
        rng = self.rng
        name = "mac%d" % len(self.macros)
        count = rng.randrange(4)
        parameters = ["a", "b", "c"][:count]
        defaults = rng.randrange(count + 1)
        shown = [p + ("=%s" % self.expr("any", 1) if i >= count - defaults else "") for i, p in enumerate(parameters)]
        before, loops = list(self.names), self.loops
        self.names += parameters * 2 + ["varargs", "kwargs"] * (rng.random() < 0.2) + ["caller"] * (rng.random() < 0.2)
        self.loops = 0
        body = self.block(depth - 1)
        if rng.random() < 0.3:
            body += self.out("caller(%s)" % rng.choice(["", "1"]))
        self.names, self.loops = before, loops
        self.macros.append((name, count))
        return self.tag("macro %s(%s)" % (name, ", ".join(shown))) + body + self.tag("endmacro")
