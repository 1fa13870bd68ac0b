#include "tokenizer/finder.hpp"

#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::tokenizer {

Found Matches::next(Match& match, Error& error) {
  while (from_ <= segment_.size()) {
    const Found found = finder_.find(segment_, from_, state_, match, error);
    if (found != Found::yes) return found;
    if (match.begin == match.end && last_end_ == match.end) {
      if (from_ >= segment_.size()) return Found::no;
      from_ += decode_utf8(segment_.data() + from_).bytes;
      continue;
    }
    from_ = match.end;
    last_end_ = match.end;
    return Found::yes;
  }
  return Found::no;
}

}  // namespace moe::inline MOE_ABI::tokenizer
