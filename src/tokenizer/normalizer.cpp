#include "tokenizer/normalizer.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::tokenizer {
namespace {

Result<std::string> replaced(const NormalizerStep& step, FinderState* state, std::string_view text) {
  std::string out;
  Matches matches(*step.finder, state, text);
  std::size_t done = 0;
  Match match;
  Error error;
  for (;;) {
    const Found found = matches.next(match, error);
    if (found == Found::failed) return tl::unexpected<Error>(std::move(error));
    if (found == Found::no) break;
    out.append(text.substr(done, match.begin - done)).append(step.content);
    done = match.end;
  }
  return out.append(text.substr(done));
}

std::string stripped(const NormalizerStep& step, std::string_view text) {
  const auto is_space = [&](std::size_t at) { return char_classes()[decode_utf8(text.data() + at).value] & kSpace; };
  while (step.left && !text.empty() && is_space(0)) text.remove_prefix(decode_utf8(text.data()).bytes);
  while (step.right && !text.empty() && is_space(previous_character(text, text.size())))
    text = text.substr(0, previous_character(text, text.size()));
  return std::string(text);
}

}  // namespace

bool Normalizer::prepends() const {
  return std::any_of(steps_.begin(), steps_.end(),
                     [](const NormalizerStep& step) { return step.kind == NormalizerStep::Kind::prepend; });
}

bool Normalizer::strips_beginning() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const NormalizerStep& step) { return step.left; });
}

bool Normalizer::widens_beginning() const {
  return prepends() || std::any_of(steps_.begin(), steps_.end(), [](const NormalizerStep& step) {
           return step.kind == NormalizerStep::Kind::unicode && step.form != Normalization::nfc;
         });
}

FinderStates Normalizer::make_states() const {
  FinderStates states;
  for (const NormalizerStep& step : steps_) states.push_back(step.finder ? step.finder->make_state() : nullptr);
  return states;
}

Result<std::string> Normalizer::run(std::string_view text, const FinderStates& states) const {
  std::string out(text);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const NormalizerStep& step = steps_[i];
    Result<std::string> next;
    switch (step.kind) {
      case NormalizerStep::Kind::unicode: next = normalize(out, step.form); break;
      case NormalizerStep::Kind::prepend: next = out.empty() ? out : step.content + out; break;
      case NormalizerStep::Kind::strip: next = stripped(step, out); break;
      case NormalizerStep::Kind::replace: next = replaced(step, states[i].get(), out); break;
    }
    if (!next) return next;
    out = std::move(*next);
  }
  return out;
}

std::string Normalizer::description() const {
  std::string text;
  for (const NormalizerStep& step : steps_)
    text += std::to_string(static_cast<int>(step.kind)) + " " + std::to_string(static_cast<int>(step.form)) + " " +
            (step.finder ? step.finder->description() : "") + " -> " + step.content + (step.left ? " left" : "") +
            (step.right ? " right" : "") + "\n";
  return text;
}

}  // namespace moe::inline MOE_ABI::tokenizer
