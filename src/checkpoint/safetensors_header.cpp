#include "checkpoint/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "checkpoint/header_reader.hpp"
#include "moe/tensor.hpp"
#include "support/json.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

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
  std::uint64_t begin = 0, end = 0;  // data_offsets
};

/// Accepts only the JSON of a header:
/// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, .., "__metadata__": {"key": "text"}}
class HeaderForm {
 public:
  explicit HeaderForm(const std::string& path) : path_(path) {}

  Result<std::vector<Entry>> read(JsonValue root) const {
    if (!root.is_object()) return wrong("the top level", root);
    std::vector<Entry> entries;
    entries.reserve(root.size());
    for (const auto& [name, value] : root.items()) {
      if (name == "__metadata__") {
        if (auto ok = check_metadata(value); !ok) return forward(ok);
        continue;
      }
      if (name.empty() || name.find('\0') != std::string_view::npos)
        return bad(fmt::format("tensor name {} is empty or contains a NUL byte", in_quotes(name)));
      auto entry = read_entry(name, value);
      if (!entry) return forward(entry);
      entries.push_back(std::move(*entry));
    }
    return entries;
  }

 private:
  static constexpr std::size_t kDimensionLimit = 8;

  tl::unexpected<Error> bad(std::string_view message) const {
    return fail(ErrorCode::bad_file, fmt::format("{}: {}", path_, message));
  }
  tl::unexpected<Error> wrong(std::string_view where, JsonValue found) const {
    return bad(
        fmt::format("{} holds {} {}, which does not belong there", where, found.type_name(), found.in_ascii(40)));
  }

  Result<void> check_metadata(JsonValue metadata) const {
    if (!metadata.is_object()) return wrong("'__metadata__'", metadata);
    for (const auto& [key, value] : metadata.items())
      if (!value.is_string()) return wrong("'__metadata__'", value);
    return {};
  }

  Result<Entry> read_entry(std::string_view name, JsonValue value) const {
    const std::string tensor = "tensor " + in_quotes(name);
    if (!value.is_object()) return wrong(tensor, value);
    for (const auto& [key, field] : value.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        return bad(fmt::format("{} has an unknown key {}", tensor, in_quotes(key)));
    const auto dtype = value.find("dtype"), shape = value.find("shape"), range = value.find("data_offsets");
    if (!dtype || !shape || !range)
      return bad(fmt::format("{} lacks one of dtype, shape and data_offsets (two numbers)", tensor));
    if (!dtype->is_string()) return wrong(tensor + ": 'dtype'", *dtype);
    Entry entry;
    entry.name = name;
    entry.dtype = find_dtype(dtype->text());
    if (entry.dtype == nullptr)
      return bad(fmt::format("{} has dtype {}, which is not known", tensor, in_quotes(dtype->text())));
    auto dimensions = read_numbers(tensor + ": 'shape'", *shape, kDimensionLimit);
    if (!dimensions) return forward(dimensions);
    entry.shape = std::move(*dimensions);
    const auto ends = read_numbers(tensor + ": 'data_offsets'", *range, 2);
    if (!ends) return forward(ends);
    if (ends->size() != 2) return bad(fmt::format("{} has {} data_offsets, expected 2", tensor, ends->size()));
    entry.begin = static_cast<std::uint64_t>((*ends)[0]);
    entry.end = static_cast<std::uint64_t>((*ends)[1]);
    return entry;
  }

  Result<std::vector<std::int64_t>> read_numbers(const std::string& where, JsonValue list, std::size_t most) const {
    if (!list.is_array()) return wrong(where, list);
    if (list.size() > most) return bad(fmt::format("{} has {} numbers, expected at most {}", where, list.size(), most));
    std::vector<std::int64_t> numbers;
    numbers.reserve(list.size());
    for (const JsonValue n : list) {
      const auto value = n.get<std::uint64_t>();
      if (!n.is_number_unsigned() || value > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
        return wrong(where, n);
      numbers.push_back(static_cast<std::int64_t>(value));
    }
    return numbers;
  }

  const std::string& path_;
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
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  SafetensorsHeader header;
  const auto read_here = std::count_if(entries.begin(), entries.end(), [](const Entry& e) { return e.dtype->format; });
  header.tensors.reserve(static_cast<std::size_t>(read_here));
  header.unsupported.reserve(entries.size() - static_cast<std::size_t>(read_here));
  std::uint64_t expected = 0;
  for (Entry& e : entries) {
    const std::uint64_t begin = e.begin, end = e.end;
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

/// Frees text and document early: they are larger than the result.
Result<std::vector<Entry>> read_entries(std::string text, const std::string& path) {
  const auto document = JsonDocument::parse(text);
  if (!document) return fail(ErrorCode::bad_file, fmt::format("{}: the header {}", path, document.error().message));
  text = {};
  return HeaderForm(path).read(document->root());
}

}  // namespace

Result<SafetensorsHeader> read_safetensors_header(const InputFile& file) {
  HeaderReader in(file, file.size());
  const auto length = in.number<std::uint64_t>("the header's length");
  if (!length) return forward(length);
  if (*length > in.remaining() || *length > kMaxHeaderBytes)
    return fail(ErrorCode::bad_file, fmt::format("{}: the header's length is {}, expected at most {}", file.path(),
                                                 *length, std::min(in.remaining(), kMaxHeaderBytes)));
  std::string text(static_cast<std::size_t>(*length), '\0');
  if (auto ok = in.read(std::as_writable_bytes(std::span(text)), "the header"); !ok) return forward(ok);
  auto entries = read_entries(std::move(text), file.path());
  if (!entries) return forward(entries);
  auto header = place(std::move(*entries), in.position(), in.remaining(), file.path());
  if (header) header->hash = in.hash().value();
  return header;
}

}  // namespace moe::inline MOE_ABI::checkpoint
