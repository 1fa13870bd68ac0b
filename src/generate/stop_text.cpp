#include "generate/stop_text.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::generate {

StopTexts::StopTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {
  std::erase_if(texts_, [](const std::string& t) { return t.empty(); });
}

std::optional<StopTexts::Found> StopTexts::find(std::string_view text, std::size_t old_size) const {
  std::optional<Found> best;
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const std::size_t from = old_size - std::min(old_size, texts_[i].size() - 1);
    const std::size_t at = text.find(texts_[i], from);
    if (at != std::string_view::npos && (!best || at < best->at)) best = Found{at, i};
  }
  return best;
}

std::size_t StopTexts::possible_beginning(std::string_view text) const {
  std::size_t most = 0;
  for (const std::string& stop : texts_)
    for (std::size_t n = std::min(stop.size() - 1, text.size()); n > most; --n)
      if (text.ends_with(std::string_view(stop).substr(0, n))) {
        most = n;
        break;
      }
  return most;
}

}  // namespace moe::inline MOE_ABI::generate
