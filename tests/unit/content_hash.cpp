// Model::content_hash: it identifies the loaded bytes, whatever happens to the files meanwhile.

#include "checkpoint/content_hash.hpp"
#include "model/model_impl.hpp"
#include "support/sha256.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "moe/model.hpp"
#include "scratch_dir.hpp"
#include "unit/changing_files.hpp"

namespace content_hash_test {

namespace {

using namespace moe_test;
using Json = nlohmann::json;

const fs::path kGolden = fs::path(MOE_SOURCE_DIR) / "tests/data/golden";

constexpr moe::ContentHash kSha256 = moe::sha256;  // one of the overloads

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_content_hash") {}
};

// The directory without what belongs to the tests.
void copy_model(const fs::path& to) {
  fs::create_directory(to);
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
    fs::copy(kGolden / "qwen3_moe" / name, to / name);
}

std::string hash_of(const fs::path& path, moe::LoadOptions options = {}) {
  options.content_hash = moe::sha256;
  options.tokenizer = moe::TokenizerUse::optional;
  const auto model = moe::Model::load(path.string(), options);
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return (*model)->content_hash();
}

// Deals the tensors out to two files and writes their index.
void split(const fs::path& dir) {
  const std::string whole = moe_test::read_file(dir / "model.safetensors");
  std::uint64_t size = 0;
  std::memcpy(&size, whole.data(), sizeof size);
  const Json header = Json::parse(whole.substr(8, size));
  Json headers[2] = {Json::object(), Json::object()}, index;
  std::string data[2];
  std::size_t next = 0;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    const std::size_t part = next++ % 2, begin = tensor["data_offsets"][0].get<std::size_t>(),
                      end = tensor["data_offsets"][1].get<std::size_t>(), at = data[part].size();
    data[part] += whole.substr(8 + size + begin, end - begin);
    headers[part][name] = tensor;
    headers[part][name]["data_offsets"] = {at, data[part].size()};
    index["weight_map"][name] = part == 0 ? "a.safetensors" : "b.safetensors";
  }
  for (std::size_t part = 0; part < 2; ++part) {
    std::string text = headers[part].dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    const std::uint64_t length = text.size();
    write_file(dir / (part == 0 ? "a.safetensors" : "b.safetensors"),
               std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data[part]);
  }
  write_file(dir / "model.safetensors.index.json", index.dump());
  fs::remove(dir / "model.safetensors");
}

// Names of the files in `dir` that are opened by `body`; none where the system does not tell.
std::set<std::string> opened_by(const fs::path& dir, const std::function<void()>& body) {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0 || ::inotify_add_watch(fd, dir.c_str(), IN_OPEN) < 0) return {};
  body();
  std::set<std::string> names;
  alignas(inotify_event) char buffer[1 << 16];
  for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      if (event->len > 0) names.insert(event->name);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  ::close(fd);
  return names;
}

}  // namespace

TEST_CASE("the hash names the content: every byte counts, the place and the number of threads do not") {
  const Scratch scratch;
  copy_model(scratch.dir / "m");
  const std::string original = hash_of(kGolden / "qwen3_moe");
  CHECK(original.size() == 64);
  CHECK(hash_of(scratch.dir / "m") == original);
  CHECK(hash_of(scratch.dir / "m", {.threads = moe::openmp_pool(3)}) == original);
  flip(scratch.dir / "m/model.safetensors", fs::file_size(scratch.dir / "m/model.safetensors") - 2);
  CHECK(hash_of(scratch.dir / "m") != original);

  const fs::path gguf = kGolden / "gguf/qwen3_moe-q8_0.gguf";
  fs::copy(gguf, scratch.dir / "renamed.gguf");
  const std::string single = hash_of(gguf);
  CHECK(single == moe::sha256_hex('\0' + moe::checkpoint::content_digest(moe_test::read_file(gguf), moe::sha256)));
  CHECK(hash_of(scratch.dir / "renamed.gguf") == single);

  const auto unasked = moe::Model::load(gguf.string(), {.tokenizer = moe::TokenizerUse::optional});
  CHECK((*unasked)->content_hash().empty());
  const auto asked =
      moe::Model::load(gguf.string(), {.tokenizer = moe::TokenizerUse::optional, .content_hash = moe::sha256});
  CHECK((*(*asked)->with_top_k(1))->content_hash() == single);
}

TEST_CASE("every file that loading opens counts, and no other") {
  const Scratch scratch;
  for (const bool in_parts : {false, true}) {
    const fs::path dir = scratch.dir / (in_parts ? "parts" : "whole");
    copy_model(dir);
    if (in_parts) split(dir);
    write_file(dir / "generation_config.json", R"({"eos_token_id": 1})");
    write_file(dir / "chat_template.jinja", "{{ messages }}");
    write_file(dir / "README.md", "text");
    std::string original;
    const auto opened = opened_by(dir, [&] { original = hash_of(dir); });
    if (opened.empty()) return moe_test::report_skip("files that loading opens", "inotify sees no opening here");
    CHECK(opened.contains("config.json"));
    CHECK(opened.contains("tokenizer.json"));
    CHECK(opened.contains(in_parts ? "b.safetensors" : "model.safetensors"));
    for (const auto& entry : fs::directory_iterator(dir)) {
      const fs::path path = entry.path();
      CAPTURE(path.filename().string());
      const std::string bytes = moe_test::read_file(path);
      if (path.extension() == ".safetensors")
        flip(path, bytes.size() - 2);
      else
        write_file(path, bytes + "\n");
      CHECK((hash_of(dir) != original) == opened.contains(path.filename().string()));
      write_file(path, bytes);
      CHECK(hash_of(dir) == original);
    }
  }
}

TEST_CASE("names of several files say what they are") {
  const Scratch scratch;
  const auto hash = [&](const std::vector<std::string>& names) {
    const auto blocks = std::make_shared<moe::checkpoint::BlockCache>(kSha256);
    std::vector<moe::checkpoint::InputFile> files;
    std::vector<moe::checkpoint::Source> sources;
    for (const std::string& name : names)
      files.push_back(*moe::checkpoint::InputFile::open(scratch.dir / name, blocks));
    for (const auto& file : files) sources.push_back({fs::path(file.path()).filename().string(), &file});
    const moe::checkpoint::ContentHasher all(sources, moe::sha256);
    for (std::size_t i = all.blocks().size(); i-- > 0;) {
      CHECK_FALSE(all.value().has_value());
      REQUIRE(all.add(i).has_value());
    }
    return *all.value();
  };
  // More than two blocks, the last one short; an empty file.
  std::string large(9'000'001, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
  write_file(scratch.dir / "x", large);
  write_file(scratch.dir / "y", "");
  write_file(scratch.dir / "z", large);
  CHECK(hash({"x"}) == moe::sha256_hex('\0' + moe::checkpoint::content_digest(large, moe::sha256)));
  CHECK(hash({"x"}) == hash({"z"}));
  CHECK(hash({"x", "y"}) == hash({"y", "x"}));
  CHECK(hash({"x", "y"}) != hash({"z", "y"}));
  CHECK(hash({"y"}) != hash({"x", "y"}));
  const std::string before = hash({"x", "y"});
  for (const std::size_t at : {std::size_t{0}, std::size_t{5'000'000}, large.size() - 1}) {
    flip(scratch.dir / "x", at);
    CHECK(hash({"x", "y"}) != before);
    flip(scratch.dir / "x", at);
  }
  CHECK(hash({"x", "y"}) == before);
}

namespace {

/// A model that changes while it is loaded.
struct ChangingModel {
  Scratch scratch;
  fs::path dir = scratch.dir / "m", weights = dir / "model.safetensors";
  std::uint64_t last = fs::file_size(kGolden / "qwen3_moe/model.safetensors") - 2;

  /// Loads afresh and does `change` when the first part was read.
  moe::Result<std::shared_ptr<const moe::Model>> load_while(moe::ContentHash content_hash,
                                                            const std::function<void()>& change) const {
    fs::remove_all(dir);
    copy_model(dir);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // older kernels' clock of files ticks every 4 to 10 ms
    bool done = false;
    moe::LoadOptions options;
    options.content_hash = content_hash;
    options.tokenizer = moe::TokenizerUse::optional;
    options.on_progress = [&](moe::Progress) {
      if (!done) change();
      done = true;
    };
    auto model = moe::Model::load(dir.string(), options);
    CHECK(done);
    return model;
  }
};

}  // namespace

TEST_CASE("a model that is changed while it is loaded is an error") {
  const ChangingModel m;
  const fs::path& weights = m.weights;
  const auto set_times_back = [&](const std::function<void()>& change) {
    struct stat before {};
    REQUIRE(::stat(weights.c_str(), &before) == 0);
    change();
    const timespec times[2] = {before.st_atim, before.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, weights.c_str(), times, 0) == 0);
  };
  const std::map<std::string, std::function<void()>> changes = {
      {"in place", [&] { flip(weights, m.last); }},
      {"in place, with its old time", [&] { set_times_back([&] { flip(weights, m.last); }); }},
      {"cut off and written anew", [&] { write_file(weights, moe_test::read_file(weights)); }},
      {"shorter", [&] { fs::resize_file(weights, m.last); }},
      {"longer", [&] { fs::resize_file(weights, m.last + 100); }}};
  for (const auto& change : changes)
    for (const moe::ContentHash content_hash : {moe::ContentHash(), moe::ContentHash(moe::sha256)}) {
      CAPTURE(change.first);
      CAPTURE(content_hash != nullptr);
      const auto model = m.load_while(content_hash, change.second);
      REQUIRE_FALSE(model.has_value());
      CHECK_MESSAGE(model.error().code == moe::ErrorCode::io, model.error().message);
      CHECK_MESSAGE(model.error().message.find("model.safetensors") != std::string::npos, model.error().message);
    }
}

TEST_CASE("a model that is replaced while it is loaded keeps its own hash: what was opened is what is read") {
  const ChangingModel m;
  const fs::path &dir = m.dir, &weights = m.weights;
  copy_model(dir);
  const std::string original = hash_of(dir);
  const std::map<std::string, std::function<void()>> replacements = {
      {"the weights by rename",
       [&] {
         fs::copy(weights, dir / "next");
         flip(dir / "next", m.last);
         fs::rename(dir / "next", weights);
       }},
      {"removed", [&] { fs::remove(weights); }},
      {"a link more", [&] { fs::create_hard_link(weights, dir / "link"); }},
      {"the texts", [&] { write_file(dir / "tokenizer.json", "{}"), write_file(dir / "config.json", "{}"); }}};
  for (const auto& change : replacements) {
    CAPTURE(change.first);
    const auto model = m.load_while(moe::sha256, change.second);
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    CHECK((*model)->content_hash() == original);
  }
}

TEST_CASE("the bytes that are hashed are those that are loaded, also where nothing shows that a file changes") {
  const Scratch scratch;
  const fs::path dir = scratch.dir / "m";
  copy_model(dir);
  const auto weights_of = [](const moe::Model& model) {
    const auto& memory = impl_of(model).weights->memory;
    return std::string(reinterpret_cast<const char*>(memory.data()), memory.size_bytes());
  };
  std::map<std::string, std::string> weights;  // by hash
  const auto load = [&](std::int32_t threads, const std::function<void()>& change) {
    bool done = false;
    moe::LoadOptions options{.threads = moe::openmp_pool(threads), .content_hash = moe::sha256};
    options.on_progress = [&](moe::Progress) {
      if (!done) change();
      done = true;
    };
    auto model = moe::Model::load(dir.string(), options);
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    CHECK(done);
    return *model;
  };
  Mapping mapped(dir / "model.safetensors");
  const std::size_t middle = mapped.size() / 2 / 4 * 4;  // of a matrix: the vectors stand at the end
  std::string digests[2];
  for (std::string& digest : digests) {
    const auto model = load(1, [] {});
    digest = model->content_hash();
    weights[digest] = weights_of(*model);
    mapped.flip(middle);
  }
  REQUIRE(weights.size() == 2);
  const bool differ = weights.at(digests[0]) != weights.at(digests[1]);
  REQUIRE(differ);
  for (const std::int32_t threads : {1, 2}) {
    const auto model = load(threads, [&] { mapped.flip(middle); });
    REQUIRE(weights.count(model->content_hash()) == 1);
    const bool same = weights_of(*model) == weights.at(model->content_hash());
    CHECK(same);
  }
}

TEST_CASE("weights are the same with a hash and without, in any kind of file") {
  std::vector<fs::path> models;
  for (const auto& entry : fs::directory_iterator(kGolden / "gguf"))
    if (entry.path().extension() == ".gguf") models.push_back(entry.path());
  for (const auto& entry : fs::directory_iterator(kGolden.parent_path() / "variants"))
    if (fs::exists(entry.path() / "model.safetensors")) models.push_back(entry.path());
  std::size_t compared = 0;
  for (const fs::path& path : models) {
    CAPTURE(path.string());
    moe::LoadOptions options{.threads = moe::openmp_pool(2), .tokenizer = moe::TokenizerUse::optional};
    const auto plain = moe::Model::load(path.string(), options);
    options.content_hash = moe::sha256;
    const auto hashed = moe::Model::load(path.string(), options);
    REQUIRE_MESSAGE(plain.has_value(), plain.error().message);
    REQUIRE_MESSAGE(hashed.has_value(), hashed.error().message);
    const auto &a = *impl_of(**plain).weights, &b = *impl_of(**hashed).weights;
    REQUIRE(a.memory.size_bytes() == b.memory.size_bytes());
    CHECK(std::memcmp(a.memory.data(), b.memory.data(), a.memory.size_bytes()) == 0);
    CHECK(a.final_norm == b.final_norm);
    ++compared;
  }
  CHECK(compared >= 10);
}

}  // namespace content_hash_test
