// Models written as GGUF mean the same: every golden and pilot directory to f32 and back, bit for bit; and the files of
// llama.cpp's converter, tensor by tensor.

#include <cmath>
#include <set>

#include "checkpoint/checkpoint.hpp"
#include "golden/folder_writer.hpp"
#include "golden/golden.hpp"
#include "golden/wide_model.hpp"

namespace quantize_test {

namespace {

using namespace moe_test;
namespace fs = std::filesystem;
using moe::Format;

std::shared_ptr<const moe::Model> load(const fs::path& path) {
  auto model = moe::Model::load(path.string(), {.tokenizer = moe::TokenizerUse::optional});
  if (!model) FAIL(model.error().message);
  return *model;
}

std::vector<GoldenCase> directories() {
  std::vector<GoldenCase> all;
  for (const GoldenCase& c : golden_cases())
    if (fs::is_directory(c.model)) all.push_back(c);
  const fs::path pilot = reference_dir("MOE_PILOT_DIR", "../shared/pilot");
  if (pilot.empty()) {
    report_skip("pilot models to GGUF", "no pilot directory");
  } else {
    for (const auto& entry : fs::directory_iterator(pilot))
      if (fs::exists(entry.path() / "model.safetensors"))
        all.push_back({"pilot " + entry.path().filename().string(), entry.path(), {}});
  }
  return all;
}

const char* const kTexts[] = {"Hello world, it's 12345 o'clock.", " two  spaces\tand\n\nlines ",
                              "naïve café — 東京 ſ'S 'll", "<|bos|>x<|im_start|>user"};

void check_same_tokenizer(const moe::Model& a, const moe::Model& b) {
  CHECK(a.tokenizer_error() == b.tokenizer_error());
  REQUIRE((a.tokenizer() == nullptr) == (b.tokenizer() == nullptr));
  if (a.tokenizer() == nullptr) return;
  CHECK(a.tokenizer()->fingerprint() == b.tokenizer()->fingerprint());
  for (const char* text : kTexts)
    for (const bool special : {false, true})
      CHECK(*a.tokenizer()->encode(text, {.ends = special ? moe::TextEnds::as_model : moe::TextEnds::none}) ==
            *b.tokenizer()->encode(text, {.ends = special ? moe::TextEnds::as_model : moe::TextEnds::none}));
}

bool same_numbers(const moe::ModelConfig& a, const moe::ModelConfig& b) {
  return a.rope.theta == b.rope.theta && a.rope.factor == b.rope.factor &&
         a.rope.attention_factor == b.rope.attention_factor && a.softmax_scale == b.softmax_scale;
}

/// Heads of values of recurrent layers.
bool same_order(const moe::ModelConfig& a, const moe::ModelConfig& b) {
  return a.recurrent.tiled_heads == b.recurrent.tiled_heads || a.recurrent.key_heads == a.recurrent.heads;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  return worst;
}

std::string bytes_of(const moe::checkpoint::Checkpoint& file, const moe::checkpoint::TensorInfo& tensor) {
  std::string bytes(tensor.bytes, '\0');
  REQUIRE(file.read(tensor, 0, std::as_writable_bytes(std::span(bytes))).has_value());
  return bytes;
}

/// Llama 3.1's divisors and -exp(A_log) are computed, by the converter in float32.
bool near(const std::string& a, const std::string& b) {
  for (std::size_t i = 0; i + sizeof(float) <= a.size(); i += sizeof(float)) {
    float x, y;
    std::memcpy(&x, a.data() + i, sizeof x);
    std::memcpy(&y, b.data() + i, sizeof y);
    if (!(std::abs(x - y) <= 1e-6f * std::abs(x))) return false;
  }
  return a.size() == b.size();
}

/// What the converter does not take from the configuration: Hunyuan's context length, its special tokens and `false` as a
/// number of groups, and a width of ERNIE's shared experts that is right for the published sizes alone.
bool converters_own(const moe::checkpoint::Checkpoint& file, const std::string& key) {
  const auto* architecture = std::get_if<std::string>(file.meta("general.architecture"));
  const bool hunyuan = architecture != nullptr && architecture->starts_with("hunyuan-");
  for (const char* part : {"context_length", "rope.scaling.", "expert_group", "_token_id"})
    if (hunyuan && key.find(part) != std::string::npos) return true;
  return key == "ernie4_5-moe.expert_shared_feed_forward_length";
}

/// Same tensors, shapes, formats and bytes; the same values of what both files say about the architecture and tokens.
void check_same_file(const std::string& found_path, const std::string& expected_path) {
  const auto found = moe::checkpoint::open(found_path), expected = moe::checkpoint::open(expected_path);
  REQUIRE(found.has_value());
  REQUIRE(expected.has_value());
  CHECK((*found)->tensors().size() == (*expected)->tensors().size());
  for (const auto& tensor : (*expected)->tensors()) {
    const auto* own = (*found)->find(tensor.name);
    CAPTURE(tensor.name);
    REQUIRE(own != nullptr);
    CHECK(own->shape == tensor.shape);
    REQUIRE(own->format == tensor.format);
    const std::string ours = bytes_of(**found, *own), theirs = bytes_of(**expected, tensor);
    const bool computed = tensor.name == "rope_freqs.weight" || tensor.name.ends_with(".ssm_a");
    CHECK((ours == theirs || (computed && near(ours, theirs))));
  }
  const auto entries = (*expected)->raw_metadata();
  REQUIRE(entries.has_value());
  // The converter's choice of a padding token and of sep is no part of the directory; a split pattern may have two names.
  const std::set<std::string> others = {"tokenizer.ggml.padding_token_id", "tokenizer.ggml.add_sep_token",
                                        "tokenizer.ggml.pre"};
  int compared = 0;
  for (const auto& entry : *entries) {
    if (entry.key.starts_with("general.") || others.count(entry.key) != 0 || converters_own(**expected, entry.key))
      continue;
    const auto *a = (*found)->meta(entry.key), *b = (*expected)->meta(entry.key);
    CAPTURE(entry.key);
    if (a == nullptr && entry.key.ends_with("bos_token_id")) continue;  // config.json may not say
    REQUIRE(a != nullptr);
    CHECK(*a == *b);
    ++compared;
  }
  CHECK(compared > 10);
}

}  // namespace

TEST_CASE("a directory as f32 GGUF computes the same bits, and tokenises the same") {
  const Scratch scratch;
  int written = 0;
  for (const GoldenCase& c : directories()) {
    CAPTURE(c.name);
    const std::string out = scratch.file("f32.gguf");
    const auto report = moe::quantize(c.model.string(), out, to(Format::f32));
    if (!report) {
      CHECK_MESSAGE(report.error().code == moe::ErrorCode::unsupported, report.error().message);
      report_skip(c.name + " as GGUF", report.error().message);
      continue;
    }
    ++written;
    for (const moe::QuantizedFormat& f : report->formats) CHECK(f.relative_rms_error == 0.0);
    CHECK(report->file_bytes_after == static_cast<std::int64_t>(fs::file_size(out)));
    const auto before = load(c.model), after = load(out);
    check_same_tokenizer(*before, *after);
    CHECK(before->info().total_parameters == after->info().total_parameters);
    const auto ids = prompt_for(before->config(), 3);
    const auto a = whole_logits(before, reference_options(), ids), b = whole_logits(after, reference_options(), ids);
    const moe::ModelConfig &in = before->config(), &written_as = after->config();
    if (in.rope.style == written_as.rope.style && same_numbers(in, written_as) && same_order(in, written_as)) {
      CHECK(same_bits(a, b));
    } else {
      // Rows of q and k stand in another order (Llama), so scores are summed in another order, or heads of values do (Qwen3.5)
      // and so do the columns of the layer's output; or a number of RoPE is no float32, which is all that GGUF holds.
      const auto golden = nlohmann::json::parse(read_file(c.expected));
      CHECK(largest_difference(a, b) <= golden["suggested_tolerance_logits"].get<double>());
    }
    const auto shipped = c.model.parent_path() / "gguf" / (c.name + "-f32.gguf");
    if (fs::exists(shipped)) check_same_file(out, shipped.string());
  }
  if (written == 0) report_skip("directories to GGUF", "none of a family that is written to GGUF");
  MESSAGE(written << " directories written");
}

TEST_CASE("hybrids as bf16 are the converter's files, with the bits of the directory in every setting") {
  const Scratch scratch;
  int compared = 0, equal = 0;
  for (const GoldenCase& c : directories()) {
    if (is_later_family(c)) continue;
    CAPTURE(c.name);
    const auto before = load(c.model);
    const moe::ModelConfig& config = before->config();
    if (config.mixers.empty()) continue;
    const auto report = moe::quantize(c.model.string(), scratch.file("x.gguf"), to(Format::bf16));
    if (!report) {
      CHECK_MESSAGE(report.error().code == moe::ErrorCode::unsupported, report.error().message);
      report_skip(c.name + " as GGUF", report.error().message);
      continue;
    }
    const auto shipped = c.model.parent_path() / "gguf-bf16" / (c.name + "-bf16.gguf");
    if (fs::exists(shipped)) check_same_file(scratch.file("x.gguf"), shipped.string()), ++compared;
    // Quantised from there, too: the same tensors in the same formats.
    REQUIRE(moe::quantize(scratch.file("x.gguf"), scratch.file("twice.gguf"), to(Format::q8_0)).has_value());
    REQUIRE(moe::quantize(c.model.string(), scratch.file("once.gguf"), to(Format::q8_0)).has_value());
    check_same_file(scratch.file("twice.gguf"), scratch.file("once.gguf"));
    const auto after = load(scratch.file("x.gguf"));
    if (!same_order(config, after->config())) continue;
    ++equal;
    const auto ids = prompt_for(config, 3);
    for (const Setting& setting : kSettings) {
      CAPTURE(setting.name);
      const auto options = options_for(setting, 2, 64);
      CHECK(same_bits(whole_logits(before, options, ids), whole_logits(after, options, ids)));
    }
  }
  MESSAGE(compared << " files compared with the converter's, " << equal << " of the same bits");
  if (compared == 0) report_skip("hybrids as bf16", "no files of the converter");
}

TEST_CASE("q8_0 and q4_0 of every directory load, run, and stay near") {
  const Scratch scratch;
  for (const GoldenCase& c : directories()) {
    CAPTURE(c.name);
    if (!moe::quantize(c.model.string(), scratch.file("x.gguf"), to(Format::f32))) continue;  // said above
    const auto original = load(c.model);
    const auto ids = prompt_before_choice(original->config(), 5);
    const auto exact = whole_logits(original, reference_options(), ids);
    double size = 0.0;
    for (const float x : exact) size += static_cast<double>(x) * x;
    double previous = 0.0;
    for (const Format type : {Format::q8_0, Format::q4_0}) {
      const std::string out = scratch.file("q.gguf");
      moe::QuantizeOptions options = to(type);
      options.requantize = true;  // directories of integers and of MXFP4
      const auto report = moe::quantize(c.model.string(), out, options);
      if (!report) FAIL(report.error().message);
      for (const moe::QuantizedFormat& f : report->formats) {
        CAPTURE(moe::name_of(f.format));
        if (f.format == Format::q8_0) CHECK(f.relative_rms_error < 0.02);
        if (f.format == Format::q4_0) CHECK(f.relative_rms_error < 0.2);
      }
      const auto quantised = load(out);
      const auto logits = whole_logits(quantised, reference_options(), ids);
      double error = 0.0;
      for (std::size_t i = 0; i < logits.size(); ++i) error += std::pow(static_cast<double>(logits[i]) - exact[i], 2);
      // Random models send tokens to other experts at the smallest change; a mistake in a layout gives logits with
      // nothing in common, whose distance is about sqrt(2) of their size.
      CHECK(std::sqrt(error / size) < (type == Format::q8_0 ? 0.5 : 1.0));
      // Rows of other lengths than 32 n stay in f16: where all do, the type asked for makes no difference.
      if (std::any_of(report->formats.begin(), report->formats.end(), [&](const auto& f) { return f.format == type; }))
        CHECK(std::sqrt(error / size) > previous);
      previous = std::sqrt(error / size);
      CHECK(whole_logits(quantised, options_for(kSettings[1], 1, 64), ids).size() == exact.size());
    }
  }
}

TEST_CASE("what a GGUF file of the family cannot say is refused by name") {
  const Scratch scratch;
  const fs::path model = fs::path(MOE_SOURCE_DIR) / "tests/data/shapes/llama_attention_bias";
  const auto report = moe::quantize(model.string(), scratch.file("x.gguf"), to(Format::f32));
  REQUIRE_FALSE(report.has_value());
  CHECK(report.error().code == moe::ErrorCode::unsupported);
  CHECK_MESSAGE(report.error().message.find("attention_bias") != std::string::npos, report.error().message);
}

TEST_CASE("a tensor without a name in GGUF is refused by its own") {
  // Granite's FFN keeps gate and up in one matrix; with attention in all layers nothing else is in the way.
  const nlohmann::json config = {{"architectures", {"GraniteMoeHybridForCausalLM"}},
                                 {"model_type", "granitemoehybrid"},
                                 {"hidden_size", 32},
                                 {"num_hidden_layers", 1},
                                 {"layer_types", {"full_attention"}},
                                 {"num_attention_heads", 1},
                                 {"num_key_value_heads", 1},
                                 {"num_local_experts", 0},
                                 {"num_experts_per_tok", 0},
                                 {"shared_intermediate_size", 32},
                                 {"mamba_n_heads", 4},
                                 {"mamba_d_head", 16},
                                 {"position_embedding_type", "rope"},
                                 {"tie_word_embeddings", true},
                                 {"max_position_embeddings", 64},
                                 {"vocab_size", 32}};
  Tensors tensors;
  for (const std::string name :
       {"model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"})
    tensors[name + ".weight"] = tensor_of<float>("F32", {32}, std::vector<float>(32, 1.0f));
  for (const std::string name : {"model.embed_tokens", "model.layers.0.self_attn.q_proj",
                                 "model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.v_proj",
                                 "model.layers.0.self_attn.o_proj", "model.layers.0.shared_mlp.output_linear"})
    tensors[name + ".weight"] = tensor_of<float>("F32", {32, 32}, std::vector<float>(32 * 32, 0.25f));
  tensors["model.layers.0.shared_mlp.input_linear.weight"] =
      tensor_of<float>("F32", {64, 32}, std::vector<float>(64 * 32, 0.5f));
  const Scratch scratch;
  write_folder(scratch.file("model"), config, tensors);
  const auto written = moe::quantize(scratch.file("model"), scratch.file("x.gguf"), to(Format::f32));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().code == moe::ErrorCode::unsupported);
  CHECK_MESSAGE(written.error().message.find("model.layers.0.shared_mlp.input_linear.weight") != std::string::npos,
                written.error().message);
}

TEST_CASE("quantised again, the converter's f32 files are its q8_0 files") {
  const Scratch scratch;
  const fs::path dir = reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden") / "gguf";
  std::size_t compared = 0;
  if (fs::exists(dir))
    for (const auto& entry : fs::directory_iterator(dir)) {
      const std::string name = entry.path().filename().string();
      const auto at = name.rfind("-f32.gguf");
      if (at == std::string::npos || !fs::exists(dir / (name.substr(0, at) + "-q8_0.gguf"))) continue;
      CAPTURE(name);
      const auto report = moe::quantize(entry.path().string(), scratch.file("q8.gguf"), to(Format::q8_0));
      if (!report && report.error().message.find("is mxfp4 already") != std::string::npos) {
        report_skip(name + " to q8_0", report.error().message);
        continue;
      }
      if (!report) FAIL(report.error().message);
      check_same_file(scratch.file("q8.gguf"), (dir / (name.substr(0, at) + "-q8_0.gguf")).string());
      ++compared;
    }
  check_any_case(compared, "MOE_GOLDEN_DIR", "pairs of f32 and q8_0 files in its folder gguf");
}

TEST_CASE("the file's bytes do not depend on the number of threads, and a second pass copies") {
  const Scratch scratch;
  const fs::path model = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/deepseek_v3_yarn";
  for (const Format type : {Format::q4_k, Format::q6_k, Format::q5_1}) {
    CAPTURE(moe::name_of(type));
    auto options = to(type);
    const auto one = moe::quantize(model.string(), scratch.file("one.gguf"), options);
    options.threads = moe::openmp_pool(3);
    const auto three = moe::quantize(model.string(), scratch.file("three.gguf"), options);
    REQUIRE(one.has_value());
    REQUIRE(three.has_value());
    const std::string bytes = read_file(scratch.file("one.gguf"));
    CHECK(bytes == read_file(scratch.file("three.gguf")));
    REQUIRE(one->formats.size() == three->formats.size());
    for (std::size_t i = 0; i < one->formats.size(); ++i)
      CHECK(one->formats[i].relative_rms_error == three->formats[i].relative_rms_error);
    // Tensors that have the format asked for, or the one they fall back to, go over as they are.
    REQUIRE(moe::quantize(scratch.file("one.gguf"), scratch.file("again.gguf"), options).has_value());
    check_same_file(scratch.file("again.gguf"), scratch.file("one.gguf"));
  }
}

TEST_CASE("rows of 256 values take the K formats, and finer formats come nearer to the original") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const auto original = load(scratch.dir / "wide");
  const auto ids = prompt_for(original->config(), 1);
  const auto exact = whole_logits(original, reference_options(), ids);
  double size = 0.0, previous = 1.0;
  for (const float x : exact) size += static_cast<double>(x) * x;
  for (const Format type : {Format::q4_0, Format::q4_k, Format::q5_1, Format::q6_k, Format::q8_0, Format::f16}) {
    CAPTURE(moe::name_of(type));
    const auto report = moe::quantize(scratch.file("wide"), scratch.file("wide.gguf"), to(type));
    if (!report) FAIL(report.error().message);
    REQUIRE(report->formats.size() == 2);
    CHECK(report->formats[0].format == type);
    CHECK(report->formats[1].format == Format::f32);
    const auto logits = whole_logits(load(scratch.file("wide.gguf")), reference_options(), ids);
    double error = 0.0;
    for (std::size_t i = 0; i < logits.size(); ++i) error += std::pow(static_cast<double>(logits[i]) - exact[i], 2);
    const double distance = std::sqrt(error / size);
    MESSAGE(moe::name_of(type) << ": weights " << report->formats[0].relative_rms_error << ", logits " << distance);
    CHECK(distance < previous);
    previous = distance;
  }
}

}  // namespace quantize_test
