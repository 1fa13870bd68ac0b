#include "checkpoint/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "checkpoint/header_reader.hpp"
#include "moe/tensor.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

constexpr std::uint64_t kHeaderLimit = 100'000'000;

struct Dtype {
  std::string_view name;
  std::uint64_t bits;
  std::optional<Format> format;
};
constexpr Dtype kDtypes[] = {
    {"F32", 32, Format::f32},
    {"F16", 16, Format::f16},
    {"BF16", 16, Format::bf16},
    {"F64", 64, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"F4", 4, {}},
    {"I64", 64, {}},
    {"I32", 32, {}},
    {"I16", 16, {}},
    {"I8", 8, {}},
    {"U64", 64, {}},
    {"U32", 32, {}},
    {"U16", 16, {}},
    {"U8", 8, {}},
    {"BOOL", 8, {}},
    {"C64", 64, {}},
};
const Dtype* find_dtype(std::string_view name) {
  for (const Dtype& d : kDtypes)
    if (d.name == name) return &d;
  return nullptr;
}

/// A tensor as the header declares it.
struct Entry {
  std::string name;
  const Dtype* dtype = nullptr;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> range;  // data_offsets: begin, end
  bool has_shape = false, has_range = false;
};

/// Accepts the one shape of JSON that a header may have and builds nothing else:
/// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, .., "__metadata__": {"key": "text"}}
class HeaderSax final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry>& entries() { return entries_; }
  const std::string& problem() const { return problem_; }

  bool null() override { return wrong("null"); }
  bool boolean(bool) override { return wrong("a boolean"); }
  bool number_float(number_float_t, const string_t& text) override { return wrong("the number " + text); }
  bool binary(binary_t&) override { return wrong("binary data"); }
  bool number_integer(number_integer_t n) override { return wrong(fmt::format("the number {}", n)); }

  bool number_unsigned(number_unsigned_t n) override {
    if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return wrong(fmt::format("the number {}", n));
    if (place_ == Place::shape) {
      entries_.back().shape.push_back(static_cast<std::int64_t>(n));
      return entries_.back().shape.size() <= kDimensionLimit ||
             refuse(fmt::format("tensor {} has more than {} dimensions", name(), kDimensionLimit));
    }
    if (place_ == Place::range && entries_.back().range.size() < 2) {
      entries_.back().range.push_back(static_cast<std::int64_t>(n));
      return true;
    }
    return wrong(fmt::format("the number {}", n));
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) return true;
    if (place_ != Place::entry || key_ != "dtype") return wrong("the string " + in_quotes(text));
    entries_.back().dtype = find_dtype(text);
    return entries_.back().dtype != nullptr ||
           refuse(fmt::format("tensor {} has dtype {}, which is not known", name(), in_quotes(text)));
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) return go(Place::top);
    if (place_ == Place::top) return go(key_ == "__metadata__" ? Place::metadata : Place::entry);
    return wrong("an object");
  }
  bool end_object() override {
    if (place_ == Place::entry) {
      const Entry& e = entries_.back();
      if (e.dtype == nullptr || !e.has_shape || !e.has_range || e.range.size() != 2)
        return refuse(fmt::format("tensor {} lacks one of dtype, shape and data_offsets (two numbers)", name()));
    }
    return go(place_ == Place::top ? Place::start : Place::top);
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::entry && key_ == "shape") return go(Place::shape);
    if (place_ == Place::entry && key_ == "data_offsets") return go(Place::range);
    return wrong("an array");
  }
  bool end_array() override { return go(Place::entry); }

  bool key(string_t& text) override {
    if (place_ == Place::metadata) return true;
    if (place_ == Place::top) return start_entry(text);
    Entry& e = entries_.back();
    const bool known = text == "dtype" || text == "shape" || text == "data_offsets";
    if (!known) return refuse(fmt::format("tensor {} has an unknown key {}", name(), in_quotes(text)));
    const bool twice = text == "dtype" ? e.dtype != nullptr : text == "shape" ? e.has_shape : e.has_range;
    if (twice) return refuse(fmt::format("tensor {} has {} twice", name(), text));
    (text == "shape" ? e.has_shape : e.has_range) |= text != "dtype";
    key_ = text;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return refuse(fmt::format("the header is no valid JSON at its byte {}", position));
  }

 private:
  enum class Place { start, top, metadata, entry, shape, range };
  static constexpr std::size_t kDimensionLimit = 8;

  bool start_entry(const std::string& text) {
    if (!names_.insert(text).second) return refuse(fmt::format("key {} is there twice", in_quotes(text)));
    key_ = text;
    if (text == "__metadata__") return true;
    if (text.empty() || text.find('\0') != std::string::npos)
      return refuse(fmt::format("tensor name {} is empty or contains a NUL byte", in_quotes(text)));
    entries_.emplace_back().name = text;
    return true;
  }
  bool go(Place place) {
    place_ = place;
    return true;
  }
  std::string name() const { return in_quotes(entries_.back().name); }
  bool refuse(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
    return false;
  }
  bool wrong(const std::string& found) {
    const std::string where = key_.empty() ? "the top level" : "key " + in_quotes(key_);
    return refuse(fmt::format("{} holds {}, which does not belong there{}", where, found,
                              place_ > Place::metadata ? " (tensor " + name() + ")" : ""));
  }

  std::vector<Entry> entries_;
  std::unordered_set<std::string> names_;
  Place place_ = Place::start;
  std::string key_;
  std::string problem_;
};

/// Bytes of a tensor by its shape; nothing when they do not fit into 64 bits or are no whole number.
std::optional<std::uint64_t> shape_bytes(const Entry& e) {
  std::uint64_t bits = e.dtype->bits;
  // A dimension of 0 makes the tensor empty whatever the others say, but their product must fit all the same.
  bool empty = false;
  for (const std::int64_t n : e.shape) {
    empty = empty || n == 0;
    if (!checked_multiply(bits, static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1)), bits)) return {};
  }
  if (empty) return 0;
  return bits % 8 == 0 ? std::optional(bits / 8) : std::nullopt;
}

/// Puts the entries into file order and checks that they fill `data_bytes` exactly.
Result<SafetensorsHeader> place(std::vector<Entry> entries, std::uint64_t data_start, std::uint64_t data_bytes,
                                const std::string& path) {
  const auto bad = [&path](const std::string& message) {
    return fail(ErrorCode::bad_file, fmt::format("{}: {}", path, message));
  };
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.range[0], a.range[1]) < std::tie(b.range[0], b.range[1]);
  });
  SafetensorsHeader header;
  std::uint64_t expected = 0;
  for (Entry& e : entries) {
    const auto begin = static_cast<std::uint64_t>(e.range[0]), end = static_cast<std::uint64_t>(e.range[1]);
    const std::string name = in_quotes(e.name);
    if (begin > end || end > data_bytes)
      return bad(fmt::format("tensor {} has data_offsets [{}, {}], expected a range within {} bytes", name, begin, end,
                             data_bytes));
    const auto bytes = shape_bytes(e);
    if (!bytes) return bad(fmt::format("tensor {} has a shape of more than 2^64 bits or of no whole bytes", name));
    if (*bytes != end - begin)
      return bad(fmt::format("tensor {} has {} bytes of data, expected {} by its shape and dtype {}", name, end - begin,
                             *bytes, e.dtype->name));
    if (begin != expected)
      return bad(fmt::format("tensor {} begins at {}, expected {}: the data {}", name, begin, expected,
                             begin < expected ? "overlap" : "have a gap"));
    expected = end;
    TensorInfo info;
    info.name = e.name;
    info.format = e.dtype->format.value_or(Format::f32);
    info.shape = std::move(e.shape);
    info.offset = data_start + begin;
    info.bytes = *bytes;
    if (e.dtype->format)
      header.tensors.push_back(std::move(info));
    else
      header.unsupported.push_back({std::move(e.name), std::string(e.dtype->name), std::move(info)});
  }
  if (expected != data_bytes)
    return bad(
        fmt::format("the tensors end at byte {} of the data, expected {} (the file's end)", expected, data_bytes));
  return header;
}

}  // namespace

Result<SafetensorsHeader> read_safetensors_header(const InputFile& file) {
  HeaderReader in(file, file.size());
  const auto length = in.number<std::uint64_t>("the header's length");
  if (!length) return forward(length);
  if (*length > in.remaining() || *length > kHeaderLimit)
    return fail(ErrorCode::bad_file, fmt::format("{}: the header's length is {}, expected at most {}", file.path(),
                                                 *length, std::min(in.remaining(), kHeaderLimit)));
  std::string text(static_cast<std::size_t>(*length), '\0');
  if (auto ok = in.read(std::as_writable_bytes(std::span(text)), "the header"); !ok) return forward(ok);
  HeaderSax sax;
  if (!nlohmann::json::sax_parse(text, &sax))
    return fail(ErrorCode::bad_file, fmt::format("{}: {}", file.path(), sax.problem()));
  auto header = place(std::move(sax.entries()), in.position(), in.remaining(), file.path());
  if (header) header->hash = in.hash().value();
  return header;
}

}  // namespace moe::inline MOE_ABI::checkpoint
