#include "checkpoint/checkpoint.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "checkpoint/metadata.hpp"
#include "checkpoint/tokenizer_metadata.hpp"
#include "moe/decode.hpp"
#include "safetensors.hpp"

namespace checkpoint_test {

namespace {

namespace fs = std::filesystem;
using moe::checkpoint::Checkpoint;

std::vector<fs::path> files_with(const fs::path& dir, const std::string& extension) {
  std::vector<fs::path> found;
  if (!fs::exists(dir)) return found;
  for (const auto& entry : fs::directory_iterator(dir))
    if (entry.path().extension() == extension) found.push_back(entry.path());
  return found;
}

std::vector<std::byte> read_all(const Checkpoint& file, const moe::checkpoint::TensorInfo& t) {
  std::vector<std::byte> out(static_cast<std::size_t>(t.bytes));
  const auto done = file.read(t, 0, out);
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  return out;
}

}  // namespace

TEST_CASE("every reference GGUF file opens, and each tensor lies where its shape says") {
  const fs::path dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  const auto files = dir.empty() ? std::vector<fs::path>{} : files_with(dir / "gguf", ".gguf");
  if (files.empty()) return moe_test::report_skip("GGUF files", "no reference directory with gguf/");
  for (const fs::path& path : files) {
    CAPTURE(path.filename().string());
    const auto file = moe::checkpoint::open(path);
    REQUIRE_MESSAGE(file.has_value(), file.error().message);
    CHECK((*file)->kind() == moe::checkpoint::Kind::gguf);
    CHECK((*file)->tensors().size() > 10);
    CHECK((*file)->unsupported().empty());
    CHECK((*file)->file_bytes() == fs::file_size(path));
    for (const auto& t : (*file)->tensors()) {
      CHECK((*file)->find(t.name) == &t);
      CHECK(static_cast<std::int64_t>(t.bytes) == t.rows() * moe::row_bytes(t.format, t.cols()));
    }
    const auto layers = moe::checkpoint::meta_string(**file, "general.architecture");
    REQUIRE(layers.has_value());
    CHECK(moe::checkpoint::meta_int(**file, *layers + ".block_count", 1, 100).has_value());
    const auto vocabulary = moe::checkpoint::read_vocabulary(**file);
    REQUIRE_MESSAGE(vocabulary.has_value(), vocabulary.error().message);
    CHECK(vocabulary->model == "gpt2");
    CHECK(vocabulary->tokens.size() == vocabulary->types.size());
    CHECK(!vocabulary->merges.empty());
  }
}

TEST_CASE("GGUF weights equal the safetensors they were converted from") {
  const fs::path dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  const auto files = dir.empty() ? std::vector<fs::path>{} : files_with(dir / "gguf", ".gguf");
  int compared = 0;
  for (const fs::path& path : files) {
    const std::string stem = path.stem().string();
    const fs::path original = dir / stem.substr(0, stem.rfind('-')) / "model.safetensors";
    if (!stem.ends_with("-f32") || !fs::exists(original)) continue;
    CAPTURE(stem);
    const auto file = moe::checkpoint::open(path);
    REQUIRE_MESSAGE(file.has_value(), file.error().message);
    const auto* embedding = (*file)->find("token_embd.weight");
    REQUIRE(embedding != nullptr);
    const auto expected = moe_test::read_safetensors(original).at("model.embed_tokens.weight");
    CHECK(embedding->shape == expected.shape);
    const auto format = expected.dtype == "F32"   ? moe::Format::f32
                        : expected.dtype == "F16" ? moe::Format::f16
                                                  : moe::Format::bf16;
    const auto count = embedding->rows() * embedding->cols();
    std::vector<float> widened(static_cast<std::size_t>(count));
    moe::decode_row(format, reinterpret_cast<const std::byte*>(expected.bytes.data()), count, widened.data());
    const auto bytes = read_all(**file, *embedding);
    CHECK(moe_test::same_bits(std::span<const std::byte>(bytes), std::as_bytes(std::span(widened))));
    // Any part of a tensor can be read.
    std::vector<std::byte> part(40);
    REQUIRE((*file)->read(*embedding, 100, part).has_value());
    CHECK(moe_test::same_bits(std::span<const std::byte>(part), std::span<const std::byte>(bytes).subspan(100, 40)));
    CHECK((*file)->read(*embedding, embedding->bytes - 39, part).error().code == moe::ErrorCode::bad_argument);
    ++compared;
  }
  if (compared == 0) moe_test::report_skip("GGUF weights", "no float32 GGUF file beside its original");
}

TEST_CASE("vocabulary-only GGUF files open") {
  const fs::path dir = moe_test::reference_dir("MOE_TOKENIZER_DIR", "../shared/tokenizers");
  const auto files = dir.empty() ? std::vector<fs::path>{} : files_with(dir, ".gguf");
  if (files.empty()) return moe_test::report_skip("vocabularies", "no directory of vocabularies");
  for (const fs::path& path : files) {
    CAPTURE(path.filename().string());
    const auto file = moe::checkpoint::open(path);
    REQUIRE_MESSAGE(file.has_value(), file.error().message);
    CHECK((*file)->tensors().empty());
    const auto vocabulary = moe::checkpoint::read_vocabulary(**file);
    REQUIRE_MESSAGE(vocabulary.has_value(), vocabulary.error().message);
    CHECK(vocabulary->tokens.size() > 1000);
    if (const auto declared = moe::checkpoint::meta_string(**file, "general.architecture"))
      if ((*file)->meta(*declared + ".vocab_size") != nullptr)
        CHECK(moe::checkpoint::meta_int(**file, *declared + ".vocab_size", 0, 1 << 30).value() ==
              static_cast<std::int64_t>(vocabulary->tokens.size()));
  }
}

TEST_CASE("what is no checkpoint is said to be none") {
  CHECK(moe::checkpoint::open("/nonexistent/model.gguf").error().code == moe::ErrorCode::not_found);
  const auto source = moe::checkpoint::open(std::string(MOE_SOURCE_DIR) + "/CMakeLists.txt");
  REQUIRE_FALSE(source.has_value());
  CHECK(source.error().code == moe::ErrorCode::bad_file);
  CHECK(source.error().message.find("expected 'GGUF'") != std::string::npos);
  for (const std::string& path : {std::string(), std::string("/tmp\0x", 6)}) {
    const auto opened = moe::checkpoint::open(path);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == moe::ErrorCode::bad_argument);
    CHECK(opened.error().message.find("path") != std::string::npos);
  }
}

TEST_CASE("every reference directory opens, and its weights are what a plain reader finds") {
  const fs::path dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  std::size_t models = 0;
  if (!dir.empty())
    for (const auto& entry : fs::directory_iterator(dir)) {
      if (!fs::exists(entry.path() / "config.json")) continue;
      CAPTURE(entry.path().filename().string());
      const auto file = moe::checkpoint::open(entry.path());
      REQUIRE_MESSAGE(file.has_value(), file.error().message);
      CHECK((*file)->kind() == moe::checkpoint::Kind::hf);
      CHECK((*file)->config_json() == moe_test::read_file(entry.path() / "config.json"));
      std::size_t found = 0;
      for (const fs::path& part : files_with(entry.path(), ".safetensors")) {
        if (!part.filename().string().starts_with("model")) continue;
        for (const auto& [key, expected] : moe_test::read_safetensors(part)) {
          const std::string& name = key;  // clang 14 lets no structured binding into a lambda, and doctest makes one
          ++found;
          const auto* t = (*file)->find(name);
          if (t == nullptr) {
            const auto& others = (*file)->unsupported();
            const auto other =
                std::find_if(others.begin(), others.end(), [&](const auto& u) { return u.name == name; });
            REQUIRE_MESSAGE(other != others.end(), name << " is missing");
            CHECK(other->type == expected.dtype);
            continue;
          }
          CHECK(t->shape == expected.shape);
          const auto bytes = read_all(**file, *t);
          if (!moe_test::same_bits(std::span<const std::byte>(bytes), std::as_bytes(std::span(expected.bytes))))
            FAIL_CHECK(name << " differs");
        }
      }
      CHECK(found == (*file)->tensors().size() + (*file)->unsupported().size());
      const auto tokenizer = (*file)->load_tokenizer();
      CHECK_MESSAGE((tokenizer.has_value() || tokenizer.error().code == moe::ErrorCode::unsupported),
                    tokenizer.error().message);
      ++models;
    }
  moe_test::check_any_case(models, "MOE_GOLDEN_DIR", "model directories");
  MESSAGE(models << " directories read");
}

}  // namespace checkpoint_test
