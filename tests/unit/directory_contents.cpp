// What a directory holds beside the tensors that its configuration asks for, or in their place: a head of its own, leftover
// tensors, GGUF files, values that are not finite.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "moe/model.hpp"
#include "moe/quantize.hpp"
#include "moe/session.hpp"
#include "safetensors.hpp"
#include "scratch_dir.hpp"

namespace directory_contents_test {

namespace {

namespace fs = std::filesystem;
using moe::ErrorCode;
using nlohmann::json;

/// A directory of this test alone.
struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_directory_contents") {}
  std::string path() const { return dir.string(); }
};

const fs::path kVariants = fs::path(MOE_SOURCE_DIR) / "tests/data/variants";

/// A safetensors file in memory: names, dtypes, shapes and bytes.
struct Tensors {
  struct One {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
  };
  std::map<std::string, One> all;

  explicit Tensors(const fs::path& file) {
    const std::string text = moe_test::read_file(file);
    std::uint64_t header = 0;
    std::memcpy(&header, text.data(), sizeof header);
    const json list = json::parse(text.substr(8, header));
    for (const auto& [name, entry] : list.items()) {
      if (name == "__metadata__") continue;
      const auto begin = entry["data_offsets"][0].get<std::size_t>(), end = entry["data_offsets"][1].get<std::size_t>();
      all[name] = {entry["dtype"].get<std::string>(), entry["shape"].get<std::vector<std::int64_t>>(),
                   text.substr(8 + header + begin, end - begin)};
    }
  }
  std::string text() const {
    json header;
    std::string data;
    for (const auto& [name, tensor] : all) {
      header[name] = {{"dtype", tensor.dtype},
                      {"shape", tensor.shape},
                      {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
      data += tensor.bytes;
    }
    const std::string head = header.dump();
    const std::uint64_t size = head.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + head + data;
  }
};

std::vector<float> logits_of(const std::string& path) {
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  moe::SessionOptions options;
  options.precision = moe::Precision::reference;
  auto session = moe::Session::create(*model, options);
  REQUIRE(session.has_value());
  const std::vector<moe::TokenId> ids = {3, 17, 5, 29, 11};
  const moe::BatchItem item = {*(*session)->open(), ids, moe::Logits::last};
  auto out = (*session)->step({&item, 1});
  REQUIRE(out.has_value());
  return {out->logits.get(), out->logits.get() + out->vocab_size};
}

/// Llama's rows stand in another order in GGUF, and so do the terms of some sums.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

/// A copy of a model with a head of its own, whose configuration says that the head is the embedding.
struct SaidToBeTied {
  Scratch scratch;
  json config = json::parse(moe_test::read_file(kVariants / "llama/config.json"));
  Tensors tensors{kVariants / "llama/model.safetensors"};

  SaidToBeTied() {
    REQUIRE(tensors.all.count("lm_head.weight") == 1);
    REQUIRE(config["tie_word_embeddings"] == false);
    config["tie_word_embeddings"] = true;
  }
  std::shared_ptr<const moe::Model> load() const {
    scratch.write("config.json", config.dump());
    scratch.write("model.safetensors", tensors.text());
    auto model = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    return *model;
  }
  std::vector<float> logits() const { return logits_of(scratch.path()); }

  /// Writes it as a GGUF file beside it. How many notes are about tie_word_embeddings?
  std::ptrdiff_t written() const {
    moe::QuantizeOptions options;
    options.type = moe::Format::f32;
    options.replace = true;
    auto report = moe::quantize(scratch.path(), scratch.path() + ".gguf", options);
    REQUIRE_MESSAGE(report.has_value(), report.error().message);
    return std::count_if(report->notes.begin(), report->notes.end(),
                         [](const std::string& note) { return note.find("tie_word_embeddings") != std::string::npos; });
  }
};

}  // namespace

TEST_CASE("a head of its own beside tie_word_embeddings wins, and a note says so") {
  const SaidToBeTied m;
  const auto expected = logits_of((kVariants / "llama").string());
  const auto own = m.load();
  CHECK_FALSE(own->config().tie_word_embeddings);
  REQUIRE(own->info().notes.size() == 1);
  CHECK(own->info().notes[0].find("lm_head.weight is not model.embed_tokens.weight") != std::string::npos);
  CHECK(moe_test::same_bits(m.logits(), expected));
  CHECK(m.written() == 1);
  CHECK(distance(logits_of(m.scratch.path() + ".gguf"), expected) <= 1e-5);
  fs::remove(m.scratch.path() + ".gguf");
}

TEST_CASE("a head with the embedding's values in another format is the same matrix, and its bytes count once") {
  SaidToBeTied m;
  Tensors::One& head = m.tensors.all["lm_head.weight"];
  const Tensors::One embedding = m.tensors.all["model.embed_tokens.weight"];
  head.dtype = "F32";
  head.bytes.clear();
  for (std::size_t i = 0; i < embedding.bytes.size(); i += 2)
    head.bytes += std::string(2, '\0') + embedding.bytes.substr(i, 2);  // bf16 is the upper half of a float32
  const auto tied = m.load();
  CHECK(tied->config().tie_word_embeddings);
  CHECK(tied->info().notes.empty());
  const auto twice = m.logits();
  const std::int64_t touched = tied->info().touched_bytes;
  m.tensors.all.erase("lm_head.weight");
  CHECK(m.load()->info().touched_bytes == touched);
  CHECK(moe_test::same_bits(m.logits(), twice));
}

TEST_CASE("an embedding and a head without columns are refused by their shape") {
  SaidToBeTied m;
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    m.tensors.all[name].shape = {8, 0};
    m.tensors.all[name].bytes.clear();
  }
  m.scratch.write("config.json", m.config.dump());
  m.scratch.write("model.safetensors", m.tensors.text());
  const auto found = moe::Model::inspect(m.scratch.path());
  REQUIRE_FALSE(found.has_value());
  CHECK_MESSAGE(found.error().message.find("model.embed_tokens.weight has shape [8, 0]") != std::string::npos,
                found.error().message);
}

TEST_CASE("the one matrix of a tied model may stand under the head's name") {
  SaidToBeTied m;
  const Tensors::One embedding = m.tensors.all["model.embed_tokens.weight"];
  m.tensors.all.erase("lm_head.weight");
  REQUIRE(m.load()->config().tie_word_embeddings);
  const auto twice = m.logits();
  m.tensors.all["lm_head.weight"] = embedding;
  m.tensors.all.erase("model.embed_tokens.weight");
  CHECK(m.load()->config().tie_word_embeddings);
  CHECK(moe_test::same_bits(m.logits(), twice));
  CHECK(m.written() == 0);
  CHECK(distance(logits_of(m.scratch.path() + ".gguf"), twice) <= 1e-5);
  fs::remove(m.scratch.path() + ".gguf");
}

TEST_CASE("a head of another shape beside tie_word_embeddings is refused") {
  SaidToBeTied m;
  const Tensors::One embedding = m.tensors.all["model.embed_tokens.weight"];
  m.tensors.all["lm_head.weight"] = embedding;
  m.scratch.write("config.json", m.config.dump());
  m.tensors.all["lm_head.weight"].shape[0] -= 1;
  m.tensors.all["lm_head.weight"].bytes.resize(embedding.bytes.size() -
                                               2 * static_cast<std::size_t>(embedding.shape[1]));
  m.scratch.write("model.safetensors", m.tensors.text());
  const auto torn = moe::Model::load(m.scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_FALSE(torn.has_value());
  CHECK(torn.error().message.find("tensor lm_head.weight has shape") != std::string::npos);
}

TEST_CASE("leftover rotary tensors are not needed, and are named in a note") {
  const Scratch scratch;
  Tensors tensors(kVariants / "llama/model.safetensors");
  const auto expected = logits_of((kVariants / "llama").string());
  fs::copy_file(kVariants / "llama/config.json", scratch.dir / "config.json");
  for (const char* name : {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"})
    tensors.all[name] = {"F32", {4}, std::string(16, '\0')};
  scratch.write("model.safetensors", tensors.text());
  CHECK(moe_test::same_bits(logits_of(scratch.path()), expected));
  const auto info = moe::Model::inspect(scratch.path());
  REQUIRE(info.has_value());
  REQUIRE(info->notes.size() == 1);
  CHECK(info->notes[0].find("2 tensors of rotary frequencies") != std::string::npos);
}

TEST_CASE("a directory with one GGUF file is that file; with several their names are asked for") {
  const Scratch scratch;
  const fs::path file = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/gguf/qwen3_moe-q8_0.gguf";
  REQUIRE(fs::exists(file));
  const auto expected = moe::Model::inspect(file.string());
  REQUIRE(expected.has_value());
  const auto same_model = [&] {
    const auto info = moe::Model::inspect(scratch.path());
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    CHECK(info->hash == expected->hash);
    CHECK(moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional}).has_value());
  };
  fs::copy_file(file, scratch.dir / "one.gguf");
  same_model();
  scratch.write("README.md", "A model.");
  scratch.write("config.json", "{}");  // as some publishers leave beside it
  same_model();
  fs::copy_file(file, scratch.dir / "another.gguf");
  const auto two = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_FALSE(two.has_value());
  CHECK(two.error().code == ErrorCode::bad_argument);
  CHECK_MESSAGE(two.error().message.find("holds 2 GGUF files") != std::string::npos, two.error().message);
  CHECK(two.error().message.find("'another.gguf', 'one.gguf'") != std::string::npos);
  CHECK_FALSE(moe::Model::inspect(scratch.path()).has_value());
  // Weights as safetensors beside them: then the directory is the model, as before.
  fs::copy_file(kVariants / "llama/model.safetensors", scratch.dir / "model.safetensors");
  fs::remove(scratch.dir / "config.json");
  fs::copy_file(kVariants / "llama/config.json", scratch.dir / "config.json");
  const auto directory = moe::Model::inspect(scratch.path());
  REQUIRE_MESSAGE(directory.has_value(), directory.error().message);
  CHECK(directory->config.family == "llama");
}

TEST_CASE("the shards of one split GGUF file in a directory are one model") {
  const Scratch scratch;
  for (const char* name : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"})
    scratch.write(name, "");
  const auto first = moe::checkpoint::gguf_of_directory(scratch.path());
  REQUIRE(first.has_value());
  CHECK(fs::path(*first).filename() == "m-00001-of-00003.gguf");
}

TEST_CASE("a value that is not finite is caught in every tensor of every family, and named") {
  const Scratch scratch;
  std::size_t checked = 0;
  for (const auto& entry : fs::directory_iterator(kVariants)) {
    if (!entry.is_directory()) continue;
    const Tensors original(entry.path() / "model.safetensors");
    fs::copy_file(entry.path() / "config.json", scratch.dir / "config.json", fs::copy_options::overwrite_existing);
    for (const auto& [key, tensor] : original.all) {
      const std::string& name = key;
      if (name.find("layers.0") != std::string::npos) continue;  // the last layers have all kinds
      CAPTURE(name);
      Tensors spoilt = original;
      const std::uint16_t code = checked % 2 == 0 ? 0x7fc0 : 0xff80;  // bf16: NaN, -infinity
      std::string& bytes = spoilt.all[name].bytes;
      REQUIRE(tensor.dtype == "BF16");
      std::memcpy(bytes.data() + bytes.size() - 2, &code, 2);
      scratch.write("model.safetensors", spoilt.text());
      const auto loaded = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
      REQUIRE_FALSE(loaded.has_value());
      CHECK_MESSAGE(loaded.error().message.find(name) != std::string::npos, loaded.error().message);
      ++checked;
    }
  }
  CHECK(checked > 200);
}

}  // namespace directory_contents_test
