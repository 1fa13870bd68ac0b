// Patterns from a tokenizer.json, run by PCRE2 with match, depth and heap limits.

#include "support/pcre2.hpp"
#include "support/show.hpp"
#include "tokenizer/finder.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

constexpr std::uint32_t kMatchLimit = 1'000'000;  // steps from one starting point; real patterns need tens
constexpr std::size_t kJitStackBytes = 1 << 20;

// Unicode White_Space. PCRE2's own \s has U+180E as well, which Oniguruma's has not.
constexpr const char* kSpaceSet =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

bool compiles(const std::string& pattern) {
  const pcre2::CompileContext context = pcre2::make_compile_context();
  if (!context) return false;
  int code = 0;
  PCRE2_SIZE offset = 0;
  const pcre2::Code made(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       PCRE2_UTF | PCRE2_UCP, &code, &offset, context.get()));
  return made != nullptr;
}

// Oniguruma to PCRE2: \s and \S mean Unicode White_Space, the name of a script the script itself and not its
// extensions; what the two read differently is refused.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    while (i_ < in_.size()) {
      const char c = in_[i_];
      if (c == '\\') {
        if (!escape()) return refuse();
      } else if (depth_ > 0) {
        if (!in_class(c)) return refuse();
      } else if (c == '[') {
        open_class();
      } else {
        if (!outside(c)) return refuse();
      }
    }
    return out_;
  }

 private:
  bool starts(std::string_view text) const { return in_.substr(i_, text.size()) == text; }
  void copy(std::size_t n) {
    out_.append(in_.substr(i_, n));
    i_ += n;
  }
  tl::unexpected<Error> refuse() const {
    return fail(ErrorCode::unsupported,
                "pattern " + in_quotes(in_) + ": " + why_ + " at byte " + std::to_string(i_) + " is not supported");
  }
  bool no(const char* why) {
    why_ = why;
    return false;
  }

  bool escape() {
    if (i_ + 1 >= in_.size()) {
      copy(1);  // PCRE2 reports the error
      return true;
    }
    const char c = in_[i_ + 1];
    after_interval_ = false;
    if (c == 's' || (c == 'S' && depth_ == 0)) {
      if (depth_ > 0) {
        out_ += kSpaceSet;
      } else {
        out_ += std::string(c == 's' ? "[" : "[^") + kSpaceSet + "]";
      }
      i_ += 2;
      return true;
    }
    if (c == 'h' || c == 'H') return no("\\h (a hexadecimal digit here, a space elsewhere)");
    if (c == 'w' || c == 'W' || ((c == 'b' || c == 'B') && depth_ == 0))
      return no("\\w or \\b (marks are word characters here, not elsewhere)");
    if (c == 'v') return no("\\v (one character here, several elsewhere)");
    if (c == 'R' || c == 'X' || c == 'K' || c == 'G' || c == 'g' || c == 'k') return no("this escape");
    if (c == 'S') return no("\\S in a class");
    copy(2);
    if (starts("{") && (c == 'p' || c == 'P' || c == 'x' || c == 'o' || c == 'u')) {
      const std::size_t end = in_.find('}', i_);
      if (end == std::string_view::npos) return true;
      const std::string name(in_.substr(i_ + 1, end - i_ - 1));
      const std::string negated(name.starts_with('^') ? "^" : ""),
          script = negated + "sc:" + name.substr(negated.size());
      if ((c == 'p' || c == 'P') && name.size() > 2 && compiles("\\p{" + script + "}")) {
        out_ += "{" + script + "}";
        i_ = end + 1;
      } else {
        copy(end + 1 - i_);
      }
    }
    return true;
  }

  void open_class() {
    depth_ = 1;
    after_interval_ = false;
    copy(1);
    if (starts("^")) copy(1);
    if (starts("]")) {
      out_ += "\\]";
      ++i_;
    }
  }

  bool in_class(char c) {
    if (c == ']') {
      depth_ = 0;
      copy(1);
      return true;
    }
    if (starts("&&")) return no("&& in a class");
    if (starts("[:")) return no("a POSIX class");
    if (c == '[') return open_inner_class();
    copy(1);
    return true;
  }

  // A class in a class adds its members: its brackets can be omitted, except with a range across them.
  bool open_inner_class() {
    const std::size_t end = in_.find_first_of("[]\\&", i_ + 1);
    const bool plain = end != std::string_view::npos && in_[end] == ']' && end > i_ + 1 && in_[i_ + 1] != '^';
    if (!plain || in_[i_ - 1] == '-' || in_[i_ + 1] == '-' || in_[end - 1] == '-' || in_.substr(end + 1, 1) == "-")
      return no("this class in a class");
    ++i_;
    copy(end - i_);
    ++i_;
    return true;
  }

  bool outside(char c) {
    if (starts("(?m")) return no("(?m)");
    if (starts("(?x") || starts("(?C") || starts("(*") || starts("(?{")) return no("this group");
    if (starts("{,")) return no("{,n}");
    // "{1,3}+" repeats the repetition in Oniguruma and is possessive in PCRE2.
    if (starts("{1,") && repeats_interval()) return true;
    if (after_interval_ && c == '+') return no("\"+\" after {n,m}");
    after_interval_ = c == '}';
    copy(1);
    return true;
  }

  // "{1,m}+" is "+": as many as there are.
  bool repeats_interval() {
    std::size_t end = in_.find_first_not_of("0123456789", i_ + 3);
    if (end == i_ + 3 || in_.substr(end, 2) != "}+") return false;
    end += 2;
    if (end < in_.size() && (in_[end] == '+' || in_[end] == '?' || in_[end] == '*' || in_[end] == '{')) return false;
    out_ += '+';
    i_ = end;
    after_interval_ = false;
    return true;
  }

  std::string_view in_;
  std::string out_;
  std::size_t i_ = 0;
  int depth_ = 0;
  bool after_interval_ = false;
  const char* why_ = "";
};

struct PatternState final : FinderState {
  pcre2::JitStack stack;  // before the context that points to it
  pcre2::MatchData data;
  pcre2::MatchContext context;
};

class Pattern final : public Finder {
 public:
  Pattern(pcre2::Code code, std::string source) : code_(std::move(code)), source_(std::move(source)) {}

  Found find(std::string_view segment, std::size_t from, FinderState* state, Match& match,
             Error& error) const override {
    auto* s = static_cast<PatternState*>(state);
    if (!s->data || !s->context) {
      error = {ErrorCode::out_of_memory, "no memory for a pattern match"};
      return Found::failed;
    }
    const int rc = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(segment.data()), segment.size(), from,
                               PCRE2_NO_UTF_CHECK, s->data.get(), s->context.get());
    if (rc == PCRE2_ERROR_NOMATCH) return Found::no;
    if (rc < 0) {
      error = {ErrorCode::bad_argument, "pattern " + in_quotes(source_) + " on a text of " +
                                            std::to_string(segment.size()) + " bytes: " + pcre2::message_of(rc)};
      return Found::failed;
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(s->data.get());
    match = {range[0], range[1]};
    return Found::yes;
  }

  bool matches_nothing() const override {
    std::uint32_t empty = 1;
    pcre2_pattern_info(code_.get(), PCRE2_INFO_MATCHEMPTY, &empty);
    return empty != 0;
  }

  std::unique_ptr<FinderState> make_state() const override {
    auto state = std::make_unique<PatternState>();
    state->data.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    state->context = pcre2::make_match_context(kMatchLimit);
    if (!state->context) return state;
    state->stack.reset(pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr));
    if (state->stack) pcre2_jit_stack_assign(state->context.get(), nullptr, state->stack.get());
    return state;
  }

  std::string description() const override { return "pattern " + source_; }

 private:
  pcre2::Code code_;
  std::string source_;
};

}  // namespace

Result<std::unique_ptr<Finder>> make_pattern(std::string_view pattern) {
  if (pattern.size() > pcre2::kMaxPatternBytes)
    return fail(ErrorCode::bad_file, "a pattern of " + std::to_string(pattern.size()) + " bytes; at most " +
                                         std::to_string(pcre2::kMaxPatternBytes) + " are read");
  const auto translated = Translator(pattern).run();
  if (!translated) return forward(translated);

  const pcre2::CompileContext context = pcre2::make_compile_context();
  if (!context) return fail(ErrorCode::out_of_memory, "no memory for a pattern");
  // MULTILINE: "$" and "^" are the ends of lines in Oniguruma.
  constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2::Code compiled(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated->data()), translated->size(), kOptions,
                                     &code, &offset, context.get()));
  if (!compiled) {
    return fail(ErrorCode::bad_file, "pattern " + in_quotes(pattern) + " does not compile: " + pcre2::message_of(code));
  }
  // Without JIT (not built in, or no executable memory) the interpreter gives the same matches more slowly.
  static_cast<void>(pcre2_jit_compile(compiled.get(), PCRE2_JIT_COMPLETE));
  return std::unique_ptr<Finder>(std::make_unique<Pattern>(std::move(compiled), std::string(pattern)));
}

}  // namespace moe::inline MOE_ABI::tokenizer
