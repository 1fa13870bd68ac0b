#include "support/energy_meter.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace moe::inline MOE_ABI {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  char text[64] = {};
  std::ifstream in(path, std::ios::binary);
  in.read(text, sizeof text - 1);
  const std::string_view read(text, static_cast<std::size_t>(in.gcount()));
  return std::string(read.substr(0, read.find('\n')));
}

std::optional<std::uint64_t> count_in(const fs::path& path) {
  const std::string line = first_line(path);
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (line.empty() || error != std::errc{} || stop != line.data() + line.size()) return std::nullopt;
  return value;
}

bool counts(const fs::path& zone) {
  if (!zone.filename().string().starts_with("intel-rapl:")) return false;
  const std::string name = first_line(zone / "name");
  return name.starts_with("package") || name == "dram";
}

}  // namespace

EnergyMeter::EnergyMeter(const std::string& root) {
  std::error_code error;
  fs::directory_iterator zones(root + "/sys/class/powercap", error);
  for (; !error && zones != fs::directory_iterator(); zones.increment(error)) {
    const fs::path zone = zones->path();
    if (!counts(zone)) continue;
    const auto now = count_in(zone / "energy_uj"), range = count_in(zone / "max_energy_range_uj");
    if (!now || !range || *now > *range) is_whole_ = false;
    counters_.push_back({(zone / "energy_uj").string(), range.value_or(0), now.value_or(0)});
  }
  sampled_ = std::chrono::steady_clock::now();
}

void EnergyMeter::sample() {
  for (Counter& c : counters_) {
    const auto now = is_whole_ ? count_in(c.file) : std::nullopt;
    if (!now || *now > c.range) {
      is_whole_ = false;
      return;
    }
    const std::uint64_t used = *now >= c.last ? *now - c.last : c.range - c.last + *now;
    microjoules_ += static_cast<double>(used);
    c.last = *now;
  }
  sampled_ = std::chrono::steady_clock::now();
}

void EnergyMeter::tick() {
  constexpr std::chrono::seconds kBetween{10};
  if (is_whole_ && !counters_.empty() && std::chrono::steady_clock::now() - sampled_ >= kBetween) sample();
}

std::optional<double> EnergyMeter::joules() {
  if (counters_.empty()) return std::nullopt;
  sample();
  if (!is_whole_) return std::nullopt;
  return microjoules_ / 1e6;
}

}  // namespace moe::inline MOE_ABI
