#include "checkpoint/gguf_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "checkpoint/ggml_types.hpp"
#include "checkpoint/header_reader.hpp"
#include "moe/tensor.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

// The largest published header (a vocabulary of 262144 tokens) has about 16 MiB.
constexpr std::uint64_t kHeaderLimit = std::uint64_t{256} << 20;
constexpr std::uint64_t kKeyLimit = 65535;  // of the GGUF specification, as the next two
constexpr std::uint64_t kNameLimit = 64;
constexpr std::uint32_t kDimensionLimit = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kAlignmentLimit = 1 << 20;

enum class ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64, count };

/// Bytes of one element in the file; of a string, its length field.
constexpr std::uint64_t kElementBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

/// A tensor as declared, before its place in the file is known.
struct Declared {
  std::string name;
  std::vector<std::int64_t> shape;
  std::uint32_t type = 0;
  std::uint64_t offset = 0;  // from the start of the data section
};

/// Block geometry of a type id, whether kernels read it or not.
struct Block {
  std::uint64_t values = 0, bytes = 0;
};
std::optional<Block> block_of(std::uint32_t type) {
  if (const FormatInfo* f = find_format(type))
    return Block{static_cast<std::uint64_t>(f->block_values), static_cast<std::uint64_t>(f->block_bytes)};
  if (const OtherType* t = find_other_type(type))
    return Block{static_cast<std::uint64_t>(t->block_values), static_cast<std::uint64_t>(t->block_bytes)};
  return {};
}

/// The order of items by their names: numbers of items, which are fewer than 2^32 in a header.
template <class T, class Name>
std::vector<std::uint32_t> order_of(const std::vector<T>& items, Name name) {
  std::vector<std::uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), std::uint32_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return name(items[a]) < name(items[b]); });
  return order;
}

/// Null, or an item whose name another one has.
template <class T, class Name>
const T* twice_in(const std::vector<T>& items, const std::vector<std::uint32_t>& order, Name name) {
  const auto same = [&](std::uint32_t a, std::uint32_t b) { return name(items[a]) == name(items[b]); };
  const auto at = std::adjacent_find(order.begin(), order.end(), same);
  return at == order.end() ? nullptr : &items[*at];
}

std::string_view key_of(const MetadataEntry& entry) { return entry.key; }
std::string_view name_of(const Declared& tensor) { return tensor.name; }

class Parser {
 public:
  explicit Parser(const InputFile& file) : file_(file), in_(file, kHeaderLimit) {}

  Result<GgufHeader> parse() {
    if (auto ok = read_counts(); !ok) return forward(ok);
    if (auto ok = read_all_metadata(); !ok) return forward(ok);
    // The counts have been checked: so many fit into the bytes that are left.
    std::vector<Declared> declared;
    declared.reserve(static_cast<std::size_t>(tensor_count_));
    for (std::uint64_t i = 0; i < tensor_count_; ++i) {
      auto tensor = read_tensor();
      if (!tensor) return forward(tensor);
      declared.push_back(std::move(*tensor));
    }
    if (const Declared* twice = twice_in(declared, order_of(declared, name_of), name_of))
      return bad(fmt::format("tensor {} is there twice", in_quotes(twice->name)));
    header_.hash = in_.hash().value();
    if (auto ok = place(declared); !ok) return forward(ok);
    return std::move(header_);
  }

 private:
  tl::unexpected<Error> bad(std::string_view message, ErrorCode code = ErrorCode::bad_file) const {
    return fail(code, fmt::format("{}: {}", file_.path(), message));
  }

  Result<void> read_counts() {
    char magic[4] = {};
    if (auto ok = in_.read(std::as_writable_bytes(std::span(magic)), "the magic"); !ok) return ok;
    if (std::string_view(magic, 4) != "GGUF")
      return bad(fmt::format("begins with {}, expected 'GGUF'", in_quotes({magic, 4})));
    const auto version = in_.number<std::uint32_t>("the version");
    if (!version) return forward(version);
    if (*version != 0 && *version % 65536 == 0)
      return bad("is big-endian; only little-endian GGUF is read", ErrorCode::unsupported);
    if (*version != 2 && *version != 3)
      return bad(fmt::format("is GGUF version {}, expected 2 or 3", *version), ErrorCode::unsupported);
    const auto tensors = in_.number<std::uint64_t>("the tensor count");
    if (!tensors) return forward(tensors);
    const auto entries = in_.number<std::uint64_t>("the metadata count");
    if (!entries) return forward(entries);
    // The smallest entry: a key of one byte and a one-byte value; the smallest tensor: a name of one byte, one
    // dimension.
    if (auto ok = check_count("metadata count", *entries, 8 + 1 + 4 + 1); !ok) return ok;
    if (auto ok = check_count("tensor count", *tensors, 8 + 1 + 4 + 8 + 4 + 8); !ok) return ok;
    metadata_count_ = *entries;
    tensor_count_ = *tensors;
    return {};
  }

  Result<void> check_count(std::string_view what, std::uint64_t count, std::uint64_t smallest) const {
    if (count <= in_.remaining() / smallest) return {};
    return bad(fmt::format("{} is {}, but {} bytes are left and each needs at least {}", what, count, in_.remaining(),
                           smallest));
  }

  Result<std::string> read_string(const char* what, std::uint64_t limit) {
    const auto length = in_.number<std::uint64_t>(what);
    if (!length) return forward(length);
    if (*length > in_.remaining())
      return bad(fmt::format("{} at byte {} has length {}, but {} bytes are left", what, in_.position(), *length,
                             in_.remaining()));
    if (*length > limit)
      return bad(fmt::format("{} at byte {} has length {}, expected at most {}", what, in_.position(), *length, limit));
    std::string text(static_cast<std::size_t>(*length), '\0');
    if (auto ok = in_.read(std::as_writable_bytes(std::span(text)), what); !ok) return forward(ok);
    return text;
  }

  /// A key or tensor name: not empty, no NUL.
  Result<std::string> read_name(const char* what, std::uint64_t limit) {
    auto name = read_string(what, limit);
    if (!name) return name;
    if (name->empty()) return bad(fmt::format("{} before byte {} is empty", what, in_.position()));
    if (name->find('\0') != std::string::npos)
      return bad(fmt::format("{} {} contains a NUL byte", what, in_quotes(*name)));
    return name;
  }

  Result<void> read_all_metadata() {
    std::vector<MetadataEntry> entries;
    entries.reserve(static_cast<std::size_t>(metadata_count_));
    for (std::uint64_t i = 0; i < metadata_count_; ++i) {
      auto entry = read_metadata();
      if (!entry) return forward(entry);
      entries.push_back(std::move(*entry));
    }
    if (const MetadataEntry* twice = header_.metadata.assign(std::move(entries)))
      return bad(fmt::format("metadata {} is there twice", in_quotes(twice->key)));
    return {};
  }

  Result<MetadataEntry> read_metadata() {
    auto key = read_name("metadata key", kKeyLimit);
    if (!key) return forward(key);
    const std::uint64_t start = in_.position();
    const auto type = in_.number<std::uint32_t>("a metadata type");
    if (!type) return forward(type);
    auto value = read_value(*key, *type);
    if (!value) return forward(value);
    if (*key == "general.alignment")
      if (auto ok = read_alignment(*type, *value); !ok) return forward(ok);
    return MetadataEntry{std::move(*key), std::move(*value), start, in_.position() - start};
  }

  Result<void> read_alignment(std::uint32_t type, const MetaValue& value) {
    if (type != static_cast<std::uint32_t>(ValueType::u32))
      return bad(fmt::format("general.alignment is of value type {}, expected {} (uint32)", type,
                             static_cast<std::uint32_t>(ValueType::u32)));
    const std::uint64_t n = *std::get_if<std::uint64_t>(&value);
    if (n == 0 || (n & (n - 1)) != 0 || n > kAlignmentLimit)
      return bad(fmt::format("general.alignment is {}, expected a power of two up to {}", n, kAlignmentLimit));
    alignment_ = n;
    return {};
  }

  Result<MetaValue> read_value(std::string_view key, std::uint32_t type) {
    if (type >= static_cast<std::uint32_t>(ValueType::count))
      return bad(fmt::format("metadata {} is of value type {}, expected 0 to 12", in_quotes(key), type));
    switch (static_cast<ValueType>(type)) {
      case ValueType::u8: return integer<std::uint8_t>();
      case ValueType::i8: return integer<std::int8_t>();
      case ValueType::u16: return integer<std::uint16_t>();
      case ValueType::i16: return integer<std::int16_t>();
      case ValueType::u32: return integer<std::uint32_t>();
      case ValueType::i32: return integer<std::int32_t>();
      case ValueType::u64: return integer<std::uint64_t>();
      case ValueType::i64: return integer<std::int64_t>();
      case ValueType::f32: return real<float>();
      case ValueType::f64: return real<double>();
      case ValueType::boolean: return boolean(key);
      case ValueType::string: {
        auto text = read_string("a metadata string", kHeaderLimit);
        if (!text) return forward(text);
        return MetaValue(std::move(*text));
      }
      default: return read_array(key);
    }
  }

  template <class T>
  Result<MetaValue> integer() {
    const auto v = in_.number<T>("a metadata value");
    if (!v) return forward(v);
    if constexpr (std::is_signed_v<T>)
      return MetaValue(static_cast<std::int64_t>(*v));
    else
      return MetaValue(static_cast<std::uint64_t>(*v));
  }
  template <class T>
  Result<MetaValue> real() {
    const auto v = in_.number<T>("a metadata value");
    if (!v) return forward(v);
    return MetaValue(static_cast<double>(*v));
  }
  Result<MetaValue> boolean(std::string_view key) {
    const auto v = in_.number<std::uint8_t>("a metadata value");
    if (!v) return forward(v);
    if (*v > 1) return bad(fmt::format("metadata {} holds the boolean {}, expected 0 or 1", in_quotes(key), *v));
    return MetaValue(*v != 0);
  }

  Result<MetaValue> read_array(std::string_view key) {
    const auto type = in_.number<std::uint32_t>("an array's element type");
    if (!type) return forward(type);
    const auto count = in_.number<std::uint64_t>("an array's length");
    if (!count) return forward(count);
    if (*type >= static_cast<std::uint32_t>(ValueType::count) || *type == static_cast<std::uint32_t>(ValueType::array))
      return bad(fmt::format("metadata {} is an array of element type {}, expected a number, boolean or string",
                             in_quotes(key), *type));
    if (auto ok = check_count("length of array " + in_quotes(key), *count, kElementBytes[*type]); !ok)
      return forward(ok);
    switch (static_cast<ValueType>(*type)) {
      case ValueType::string: return array_of<std::string>(key, *type, *count);
      case ValueType::boolean: return array_of<bool>(key, *type, *count);
      case ValueType::f32:
      case ValueType::f64: return array_of<double>(key, *type, *count);
      default: return array_of<std::int64_t>(key, *type, *count);
    }
  }

  /// `count` elements are known to fit into the bytes left, which bounds what is reserved here.
  template <class T>
  Result<MetaValue> array_of(std::string_view key, std::uint32_t type, std::uint64_t count) {
    std::vector<T> values;
    values.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
      auto element = read_value(key, type);
      if (!element) return forward(element);
      if (auto* v = std::get_if<T>(&*element)) {
        values.push_back(std::move(*v));
        continue;
      }
      if constexpr (std::is_same_v<T, std::int64_t>) {
        const std::uint64_t u = *std::get_if<std::uint64_t>(&*element);
        if (u > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
          return bad(fmt::format("metadata {} holds {}, expected at most 2^63 - 1", in_quotes(key), u));
        values.push_back(static_cast<std::int64_t>(u));
      }
    }
    return MetaValue(std::move(values));
  }

  Result<Declared> read_tensor() {
    Declared t;
    auto name = read_name("tensor name", kNameLimit);
    if (!name) return forward(name);
    t.name = std::move(*name);
    const auto dimensions = in_.number<std::uint32_t>("a tensor's dimension count");
    if (!dimensions) return forward(dimensions);
    if (*dimensions == 0 || *dimensions > kDimensionLimit)
      return bad(fmt::format("tensor {} has {} dimensions, expected 1 to {}", in_quotes(t.name), *dimensions,
                             kDimensionLimit));
    for (std::uint32_t i = 0; i < *dimensions; ++i) {
      const auto n = in_.number<std::int64_t>("a tensor's dimension");
      if (!n) return forward(n);
      if (*n <= 0) return bad(fmt::format("tensor {} has dimension {}, expected at least 1", in_quotes(t.name), *n));
      t.shape.insert(t.shape.begin(), *n);
    }
    const auto type = in_.number<std::uint32_t>("a tensor's type");
    if (!type) return forward(type);
    const auto offset = in_.number<std::uint64_t>("a tensor's offset");
    if (!offset) return forward(offset);
    t.type = *type;
    t.offset = *offset;
    return t;
  }

  /// Bytes of the tensor's data.
  Result<std::uint64_t> data_bytes(const Declared& t) const {
    const auto block = block_of(t.type);
    if (!block)
      return bad(fmt::format("tensor {} has type id {}, which {}", in_quotes(t.name), t.type,
                             is_removed_type(t.type) ? "was removed from GGUF" : "is not known"),
                 ErrorCode::unsupported);
    const auto cols = static_cast<std::uint64_t>(t.shape.back());
    if (cols % block->values != 0)
      return bad(fmt::format("tensor {} has rows of {} values, expected a multiple of {}", in_quotes(t.name), cols,
                             block->values));
    std::uint64_t bytes = block->bytes;
    bool fits = checked_multiply(bytes, cols / block->values, bytes);
    for (std::size_t i = 0; i + 1 < t.shape.size(); ++i)
      fits = fits && checked_multiply(bytes, static_cast<std::uint64_t>(t.shape[i]), bytes);
    if (!fits) return bad(fmt::format("tensor {} has more than 2^64 bytes", in_quotes(t.name)));
    return bytes;
  }

  /// Computes every tensor's place: in list order, each at the next multiple of the alignment.
  Result<void> place(std::vector<Declared>& declared) {
    const auto readable = std::count_if(declared.begin(), declared.end(),
                                        [](const Declared& t) { return find_format(t.type) != nullptr; });
    header_.tensors.reserve(static_cast<std::size_t>(readable));
    header_.unsupported.reserve(declared.size() - static_cast<std::size_t>(readable));
    const auto align = [this](std::uint64_t n) { return (n + alignment_ - 1) / alignment_ * alignment_; };
    const std::uint64_t data_start = align(in_.position());
    std::uint64_t expected = 0;
    for (Declared& t : declared) {
      const auto bytes = data_bytes(t);
      if (!bytes) return forward(bytes);
      if (t.offset % alignment_ != 0)
        return bad(fmt::format("tensor {} is at offset {}, expected a multiple of {}", in_quotes(t.name), t.offset,
                               alignment_));
      if (t.offset != expected)
        return bad(fmt::format("tensor {} is at offset {}, expected {}: the data {}", in_quotes(t.name), t.offset,
                               expected, t.offset < expected ? "overlap" : "have a gap"));
      const std::uint64_t start = data_start + t.offset;
      if (start > file_.size() || *bytes > file_.size() - start)
        return bad(fmt::format("tensor {} needs {} bytes at {}, but the file has {}", in_quotes(t.name), *bytes, start,
                               file_.size()));
      expected = align(t.offset + *bytes);
      keep(std::move(t), start, *bytes);
    }
    return {};
  }

  void keep(Declared t, std::uint64_t start, std::uint64_t bytes) {
    if (const OtherType* other = find_other_type(t.type)) {
      header_.unsupported.push_back({std::move(t.name), std::string(other->name)});
      return;
    }
    TensorInfo info;
    info.name = std::move(t.name);
    info.format = find_format(t.type)->format;
    info.shape = std::move(t.shape);
    info.offset = start;
    info.bytes = bytes;
    header_.tensors.push_back(std::move(info));
  }

  const InputFile& file_;
  HeaderReader in_;
  GgufHeader header_;
  std::uint64_t metadata_count_ = 0, tensor_count_ = 0;
  std::uint64_t alignment_ = kDefaultAlignment;
};

}  // namespace

const MetadataEntry* GgufEntries::assign(std::vector<MetadataEntry> entries) {
  entries_ = std::move(entries);
  by_key_ = order_of(entries_, key_of);
  return twice_in(entries_, by_key_, key_of);
}

const MetaValue* GgufEntries::find(std::string_view key) const {
  const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), key,
                                   [this](std::uint32_t i, std::string_view k) { return entries_[i].key < k; });
  return at == by_key_.end() || entries_[*at].key != key ? nullptr : &entries_[*at].value;
}

std::vector<std::string> GgufEntries::sorted_keys() const {
  std::vector<std::string> keys;
  for (const std::uint32_t i : by_key_) keys.push_back(entries_[i].key);
  return keys;
}

Result<GgufHeader> read_gguf_header(const InputFile& file) { return Parser(file).parse(); }

}  // namespace moe::inline MOE_ABI::checkpoint
