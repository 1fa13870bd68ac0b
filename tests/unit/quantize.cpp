// Errors while a GGUF file is written: one clear error, and no files left. And moe-quantize as a
// script sees it.

#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/gguf_writer.hpp"
#include "moe/quantize.hpp"
#include "program.hpp"

namespace {

namespace fs = std::filesystem;
using moe::ErrorCode;
using moe::Format;
using json = nlohmann::json;

const fs::path kModel = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";

/// A directory with a copy of the small model in it.
struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_quantize_errors") {
    fs::create_directories(dir / "model");
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(kModel / name, dir / "model" / name);
  }
  std::string model() const { return (dir / "model").string(); }
  std::string file(const std::string& name) const { return (dir / name).string(); }
  /// Nothing but the model and what is named is there.
  void check_clean(std::size_t others = 0) const {
    std::size_t found = 0;
    for (const auto& entry : fs::directory_iterator(dir)) found += entry.path().filename() != "model";
    CHECK(found == others);
  }
  void edit_config(const std::string& key, const json& value) const {
    json config = json::parse(moe_test::read_file(dir / "model/config.json"));
    config[key] = value;
    std::ofstream(dir / "model/config.json") << config;
  }
  /// Overwrites one bf16 value of a tensor.
  void poison(const std::string& tensor, std::size_t index, std::uint16_t code) const {
    std::string bytes = moe_test::read_file(kModel / "model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    const auto at = json::parse(bytes.substr(8, header))[tensor]["data_offsets"][0].get<std::size_t>();
    std::memcpy(bytes.data() + 8 + header + at + 2 * index, &code, 2);
    std::ofstream(dir / "model/model.safetensors", std::ios::binary) << bytes;
  }
};

moe::QuantizeOptions to(Format type) {
  moe::QuantizeOptions options;
  options.type = type;
  return options;
}

void check_fails(const std::string& in, const std::string& out, const moe::QuantizeOptions& options, ErrorCode code,
                 std::initializer_list<const char*> named) {
  const auto done = moe::quantize(in, out, options);
  REQUIRE_FALSE(done.has_value());
  CAPTURE(done.error().message);
  CHECK(done.error().code == code);
  for (const char* text : named) CHECK(done.error().message.find(text) != std::string::npos);
  CHECK(done.error().message.find('\n') == std::string::npos);
}

constexpr const char* kRows = "model.layers.0.self_attn.q_proj.weight";

}  // namespace

TEST_CASE("what stands at the output's place is not touched") {
  const Scratch s;
  std::ofstream(s.file("taken.gguf")) << "mine";
  check_fails(s.model(), s.file("taken.gguf"), to(Format::q8_0), ErrorCode::bad_argument, {"taken.gguf", "exists"});
  CHECK(moe_test::read_file(s.file("taken.gguf")) == "mine");
  auto replace = to(Format::q8_0);
  replace.replace = true;
  check_fails(s.model(), s.model(), replace, ErrorCode::bad_argument, {"which the model is read from"});
  check_fails(s.model(), "/dev/null", replace, ErrorCode::bad_argument, {"not a regular file"});
  check_fails(s.model(), s.file("absent/x.gguf"), replace, ErrorCode::io, {"absent/x.gguf", "created"});
  check_fails(s.model(), "", replace, ErrorCode::bad_argument, {"name"});
  s.check_clean(1);
  CHECK(moe::quantize(s.model(), s.file("taken.gguf"), replace).has_value());
  CHECK(moe_test::read_file(s.file("taken.gguf")).substr(0, 4) == "GGUF");
  s.check_clean(1);
}

TEST_CASE("weights that a format cannot hold end the run, by tensor and row, and leave no file") {
  const Scratch s;
  const std::size_t at = 3 * 64 + 7;  // of rows of 64 values
  s.poison(kRows, at, 0x7fc0);
  check_fails(s.model(), s.file("x.gguf"), to(Format::q8_0), ErrorCode::non_finite, {kRows, "row 3", "value 7"});
  s.poison(kRows, at, 0xff80);
  for (const Format type : {Format::f16, Format::q4_0, Format::q6_k})
    check_fails(s.model(), s.file("x.gguf"), to(type), ErrorCode::non_finite, {kRows, "row 3", "-inf"});
  s.poison(kRows, at, 0x7149);  // 9.9e29
  check_fails(s.model(), s.file("x.gguf"), to(Format::f16), ErrorCode::bad_argument,
              {kRows, "row 3", "too large for f16"});
  check_fails(s.model(), s.file("x.gguf"), to(Format::q5_1), ErrorCode::bad_argument,
              {kRows, "row 3", "too large for q5_1"});
  s.check_clean();
  auto threads = to(Format::q5_1);
  threads.threads = moe::openmp_pool(3);
  check_fails(s.model(), s.file("x.gguf"), threads, ErrorCode::bad_argument, {kRows, "row 3", "too large for q5_1"});
  CHECK(moe::quantize(s.model(), s.file("x.gguf"), to(Format::f32)).has_value());
}

TEST_CASE("a value that is not finite ends the run in every tensor, also where its bytes would go over as they are") {
  const Scratch s;
  const auto named = [&](const std::string& in, const std::string& tensor, Format type) {
    CAPTURE(tensor);
    const auto done = moe::quantize(in, s.file("x.gguf"), to(type));
    REQUIRE_FALSE(done.has_value());
    CHECK_MESSAGE(done.error().message.find(tensor) != std::string::npos, done.error().message);
    CHECK_FALSE(fs::exists(s.file("x.gguf")));
  };
  const auto original = moe::checkpoint::open(s.model());
  REQUIRE(original.has_value());
  std::vector<std::string> names;
  for (const auto& tensor : (*original)->tensors()) names.push_back(tensor.name);
  for (std::size_t i = 0; i < names.size(); ++i) {
    s.poison(names[i], 3, i % 2 == 0 ? 0x7fc0 : 0xff80);  // NaN, -infinity
    for (const Format type : {Format::bf16, Format::f32, Format::q8_0}) named(s.model(), names[i], type);
  }
  CHECK(names.size() > 50);

  // From GGUF to GGUF: float32 vectors and quantised blocks are copied.
  fs::copy_file(kModel / "model.safetensors", s.dir / "model/model.safetensors", fs::copy_options::overwrite_existing);
  REQUIRE(moe::quantize(s.model(), s.file("in.gguf"), to(Format::q8_0)).has_value());
  const auto file = moe::checkpoint::open(s.file("in.gguf"));
  REQUIRE(file.has_value());
  const std::string whole = moe_test::read_file(s.file("in.gguf"));
  for (const auto& tensor : (*file)->tensors()) {
    std::string bytes = whole;
    const bool blocks = tensor.format == Format::q8_0;  // float16 scale in front of each
    const std::string nan = blocks ? std::string("\x00\x7e", 2) : std::string("\x00\x00\xc0\x7f", 4);
    std::memcpy(bytes.data() + tensor.offset, nan.data(), nan.size());
    std::ofstream(s.file("in.gguf"), std::ios::binary) << bytes;
    named(s.file("in.gguf"), tensor.name, Format::q8_0);
  }
}

TEST_CASE("a configuration that GGUF cannot express is refused by name") {
  const Scratch s;
  s.edit_config("norm_topk_prob", false);
  check_fails(s.model(), s.file("x.gguf"), to(Format::q8_0), ErrorCode::unsupported, {"norm_topk_prob", "0", "1"});
  s.check_clean();
  s.edit_config("norm_topk_prob", true);
  s.edit_config(
      "rope_scaling",
      {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}, {"attention_factor", 1.5}});
  REQUIRE(moe::quantize(s.model(), s.file("x.gguf"), to(Format::q8_0)).has_value());
  CHECK(moe::Model::inspect(s.file("x.gguf"))->config.rope.attention_factor == 1.5);
}

TEST_CASE("Llama 3.1's rope becomes a divisor per pair, which a second pass takes over") {
  const Scratch s;
  s.edit_config("rope_scaling", {{"rope_type", "llama3"},
                                 {"factor", 8.0},
                                 {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 4.0},
                                 {"original_max_position_embeddings", 64}});
  REQUIRE(moe::quantize(s.model(), s.file("x.gguf"), to(Format::q8_0)).has_value());
  REQUIRE(moe::quantize(s.file("x.gguf"), s.file("y.gguf"), to(Format::q8_0)).has_value());
  for (const char* name : {"x.gguf", "y.gguf"}) {
    const auto info = moe::Model::inspect(s.file(name));
    REQUIRE(info.has_value());
    const moe::RopeConfig& rope = info->config.rope;
    CHECK(rope.scaling == moe::RopeScaling::factors);
    REQUIRE(static_cast<std::int64_t>(rope.frequency_factors.size()) == info->config.rotated_dim() / 2);
    CHECK(rope.frequency_factors.front() == 1.0);  // shorter than the context: kept
    CHECK(rope.frequency_factors.back() == 8.0);
    CHECK(std::is_sorted(rope.frequency_factors.begin(), rope.frequency_factors.end()));
  }
}

TEST_CASE("only formats with an encoder, and nothing twice unless asked") {
  const Scratch s;
  check_fails(s.model(), s.file("x.gguf"), to(Format::q5_k), ErrorCode::unsupported, {"q5_k"});
  auto head = to(Format::q8_0);
  head.head = Format::iq4_nl;
  check_fails(s.model(), s.file("x.gguf"), head, ErrorCode::unsupported, {"iq4_nl"});
  check_fails(s.file("none"), s.file("x.gguf"), to(Format::q8_0), ErrorCode::not_found, {"none"});

  REQUIRE(moe::quantize(s.model(), s.file("q8.gguf"), to(Format::q8_0)).has_value());
  check_fails(s.file("q8.gguf"), s.file("x.gguf"), to(Format::q4_0), ErrorCode::unsupported,
              {"q8_0", "q4_0", "requantize"});
  s.check_clean(1);
  auto again = to(Format::q4_0);
  again.requantize = true;
  CHECK(moe::quantize(s.file("q8.gguf"), s.file("q4.gguf"), again).has_value());
  CHECK(moe::quantize(s.file("q8.gguf"), s.file("f32.gguf"), to(Format::f32)).has_value());  // widening loses nothing
}

TEST_CASE("head and embedding have formats of their own; what does not fit falls back and is said") {
  const Scratch s;
  auto options = to(Format::q4_k);  // rows of 64, 128 and 32 values: none is a multiple of 256
  options.head = Format::f16;
  options.embedding = Format::q6_k;
  const auto report = moe::quantize(s.model(), s.file("x.gguf"), options);
  REQUIRE(report.has_value());
  const auto info = moe::Model::inspect(s.file("x.gguf"));
  REQUIRE(info.has_value());
  std::int64_t f16 = 0, q8_0 = 0, q5_0 = 0;
  for (const moe::FormatUse& use : info->formats) {
    if (use.format == Format::f16) f16 = use.tensor_count;
    if (use.format == Format::q8_0) q8_0 = use.tensor_count;
    if (use.format == Format::q5_0) q5_0 = use.tensor_count;
  }
  CHECK(f16 == 1);
  CHECK(q8_0 == 1);
  CHECK(q5_0 > 10);
  std::string notes;
  for (const std::string& note : report->notes) notes += note + "\n";
  CHECK(notes.find("became q5_0: q4_k needs a multiple of 256") != std::string::npos);
  CHECK(notes.find("became q8_0: q6_k needs a multiple of 256") != std::string::npos);
}

TEST_CASE("cancelled, nothing is left") {
  const Scratch s;
  for (int after = 0; after < 3; ++after) {
    int asked = 0;
    auto options = to(Format::q8_0);
    options.cancelled = [&] { return asked++ == after; };
    check_fails(s.model(), s.file("x.gguf"), options, ErrorCode::cancelled, {"cancelled"});
  }
  s.check_clean();
}

TEST_CASE("a file that may not grow ends the run with the system's reason, and nothing is left") {
  const Scratch s;
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100'000, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  check_fails(s.model(), s.file("x.gguf"), to(Format::q8_0), ErrorCode::io, {"x.gguf", "cannot be"});
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  s.check_clean();
}

TEST_CASE("a directory without a tokenizer becomes a file without one, and a broken one is an error") {
  const Scratch s;
  std::ofstream(s.dir / "model/tokenizer.json") << "{\"model\": 3}";
  check_fails(s.model(), s.file("x.gguf"), to(Format::q8_0), ErrorCode::bad_file, {"tokenizer.json"});
  std::ofstream(s.dir / "model/tokenizer.json") << R"({"model": {"type": "Unigram", "vocab": []}})";
  check_fails(s.model(), s.file("x.gguf"), to(Format::q8_0), ErrorCode::unsupported, {"Unigram"});
  s.check_clean();
  auto without = to(Format::q8_0);
  without.tokenizer = false;
  CHECK(moe::quantize(s.model(), s.file("a.gguf"), without).has_value());
  fs::remove(s.dir / "model/tokenizer.json");
  const auto report = moe::quantize(s.model(), s.file("b.gguf"), to(Format::q8_0));
  REQUIRE(report.has_value());
  REQUIRE_FALSE(report->notes.empty());
  CHECK(report->notes.front().find("no tokenizer") != std::string::npos);
  CHECK(moe_test::read_file(s.file("a.gguf")).size() == moe_test::read_file(s.file("b.gguf")).size());
  const auto model = moe::Model::load(s.file("b.gguf"), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE(model.has_value());
  CHECK((*model)->tokenizer() == nullptr);
}

TEST_CASE("the tokenizer.json inside a file is checked like one in a directory") {
  const Scratch s;
  using moe::checkpoint::GgufMetadata;
  const auto load = [&](const std::string& tokenizer_json) {
    GgufMetadata metadata;
    metadata.text("general.architecture", "qwen2");
    metadata.text("tokenizer.ggml.model", "gpt2");
    metadata.text("tokenizer.ggml.pre", "qwen2");
    metadata.texts("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
    metadata.integers("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 1});
    metadata.text("tokenizer.huggingface.json", tokenizer_json);
    auto file = moe::OutputFile::create(s.file("t.gguf"));
    REQUIRE(file.has_value());
    auto writer = moe::checkpoint::GgufWriter::begin(std::move(*file), metadata, {});
    REQUIRE(writer.has_value());
    REQUIRE(writer->finish().has_value());
    const auto opened = moe::checkpoint::open(s.file("t.gguf"));
    REQUIRE(opened.has_value());
    return (*opened)->load_tokenizer();
  };
  const auto broken = load("{");
  REQUIRE_FALSE(broken.has_value());
  CHECK(broken.error().code == ErrorCode::bad_file);
  CHECK(broken.error().message.find("tokenizer.huggingface.json") != std::string::npos);
  // One of a kind that is not known leaves the arrays.
  const auto arrays = load(R"({"model": {"type": "Unigram", "vocab": []}})");
  REQUIRE(arrays.has_value());
  CHECK((*arrays)->vocab_size() == 2);
}

TEST_CASE("a tokenizer of characters goes into the file as scores and as it is; tokens without a row are left out") {
  const Scratch s;
  json tokenizer = json::parse(R"({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "pre_tokenizer": null, "post_processor": null, "added_tokens": [],
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
      "merges": [["a", "b"], ["\u2581", "ab"]]}})");
  json& vocab = tokenizer["model"]["vocab"];
  vocab = {{"<unk>", 0}, {"</s>", 1}, {"\u2581", 2}, {"a", 3}, {"b", 4}, {"ab", 5}, {"\u2581ab", 6}};
  const char* digits = "0123456789ABCDEF";
  for (int b = 0; b < 256; ++b) vocab[std::string("<0x") + digits[b / 16] + digits[b % 16] + ">"] = 7 + b;
  for (int id = 263; id < 322; ++id) {  // the model has 320 rows
    const json special = {{"id", id}, {"content", "<" + std::to_string(id) + ">"}, {"special", true}};
    tokenizer["added_tokens"].push_back(special);
  }
  std::ofstream(s.dir / "model/tokenizer.json") << tokenizer;
  std::ofstream(s.dir / "model/tokenizer_config.json") << R"({"eos_token": "</s>"})";
  const auto done = moe::quantize(s.model(), s.file("t.gguf"), {});
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  const auto file = moe::checkpoint::open(s.file("t.gguf"));
  REQUIRE(file.has_value());
  const auto whole = (*file)->load_tokenizer(320), folder = (*moe::checkpoint::open(s.model()))->load_tokenizer(320);
  REQUIRE_MESSAGE((whole.has_value() && folder.has_value()), whole.error().message);
  CHECK((*whole)->fingerprint() == (*folder)->fingerprint());
  CHECK(*(*whole)->encode("ab ab\n<263>") == std::vector<moe::TokenId>{5, 6, 7 + '\n', 263});
  CHECK_FALSE((*whole)->encode("<321>").has_value());
  const auto* scores = std::get_if<std::vector<double>>((*file)->meta("tokenizer.ggml.scores"));
  REQUIRE(scores != nullptr);
  CHECK(scores->size() == 320);
  CHECK(((*scores)[5] == -1 && (*scores)[6] == -2 && (*scores)[3] == 0));
  CHECK((*file)->meta("tokenizer.ggml.merges") == nullptr);
}

TEST_CASE("the writer refuses tensors that GGUF cannot hold, and files with bytes missing") {
  const Scratch s;
  using moe::checkpoint::GgufTensor;
  const auto begin = [&](const GgufTensor& tensor) {
    auto file = moe::OutputFile::create(s.file("w.gguf"), {.replace = false});
    REQUIRE(file.has_value());
    return moe::checkpoint::GgufWriter::begin(std::move(*file), {}, {tensor});
  };
  for (const GgufTensor& bad :
       {GgufTensor{std::string(64, 'n'), Format::f32, {4}}, GgufTensor{"", Format::f32, {4}},
        GgufTensor{"t", Format::f32, {1, 1, 1, 1, 4}}, GgufTensor{"t", Format::q8_0, {2, 33}}}) {
    const auto writer = begin(bad);
    REQUIRE_FALSE(writer.has_value());
    CHECK(writer.error().code == ErrorCode::bad_shape);
  }
  {
    auto writer = begin({"t", Format::f32, {4}});
    REQUIRE(writer.has_value());
    const std::byte bytes[20] = {};
    CHECK_FALSE(writer->write(bytes).has_value());
    CHECK(writer->write(std::span(bytes).first(8)).has_value());
    CHECK_FALSE(writer->finish().has_value());
  }
  s.check_clean();
  // More than any disk has room for: said before a byte is written.
  const auto huge = begin({"t", Format::f32, {1 << 20, 1 << 20, 1 << 10}});
  REQUIRE_FALSE(huge.has_value());
  CHECK_MESSAGE(huge.error().message.find("needs 4503599") != std::string::npos, huge.error().message);
  s.check_clean();
}

#ifdef MOE_QUANTIZE
TEST_CASE("moe-quantize: statuses, one line per error, and the table") {
  using moe_test::check_one_line;
  const Scratch s;
  const moe_test::ScratchDir printed("moe_quantize_printed");
  const auto run = [&](const std::vector<std::string>& arguments) {
    return moe_test::run_program(printed, "MOE_THREADS=1", MOE_QUANTIZE, arguments);
  };
  const std::string in = s.model(), out = s.file("x.gguf");
  check_one_line(run({in}), 2, "OUT");
  check_one_line(run({in, out, "--type", "q5_k"}), 2, "q5_k");
  check_one_line(run({in, out, "--head", "q9"}), 2, "q9");
  check_one_line(run({in, out, "--threads", "-1"}), 2, "threads");
  check_one_line(run({"/absent", out}), 1, "/absent");
  check_one_line(run({in, "/absent/x.gguf"}), 1, "/absent/x.gguf");
  s.check_clean();
  const auto done = run({in, out, "--type", "Q4_0", "--head", "q8_0"});
  CHECK(done.status == 0);
  CHECK(done.err.empty());
  for (const char* text : {"q4_0", "q8_0", "f32", "rms error", "bits per weight"})
    CHECK(done.out.find(text) != std::string::npos);
  check_one_line(run({in, out}), 1, "exists");
  CHECK(run({in, out, "--force"}).status == 0);
  const auto help = run({"--help"});
  CHECK(help.status == 0);
  CHECK(help.out.find("Examples") != std::string::npos);
}
#endif
