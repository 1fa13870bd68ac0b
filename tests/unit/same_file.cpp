// Names of one file: what would be overwritten is found whatever it is called.

#include "support/same_file.hpp"

#include <filesystem>
#include <fstream>

#include "scratch_dir.hpp"

namespace same_file_test {

namespace {

namespace fs = std::filesystem;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_same") {}
};

}  // namespace

TEST_CASE("one file under two names, there or not") {
  const Scratch s;
  fs::create_directories(s / "a/b");
  std::ofstream(s / "a/file") << "x";
  fs::create_hard_link(s / "a/file", s / "hard");
  fs::create_symlink("a/file", s / "soft");
  fs::create_symlink("a", s / "folder");
  fs::create_symlink("a/none", s / "dangling");
  CHECK(moe::same_file(s / "a/file", s / "a/b/../file"));
  CHECK(moe::same_file(s / "a/file", s / "hard"));
  CHECK(moe::same_file(s / "soft", s / "hard"));
  CHECK(moe::same_file(s / "folder/file", s / "a/file"));
  CHECK(moe::same_file(s / "a", s / "a/"));
  CHECK(moe::same_file(s / "a", s / "folder"));
  CHECK_FALSE(moe::same_file(s / "a", s / "a/file"));
  // Nothing is there yet.
  CHECK(moe::same_file(s / "a/none", s / "dangling"));
  CHECK(moe::same_file(s / "new", s / "a/../new"));
  CHECK(moe::same_file(s / "new/run.json", s / "./new/run.json"));
  CHECK(moe::same_file(s / "folder/new/m", s / "a/new/m/"));
  CHECK_FALSE(moe::same_file(s / "new/run.json", s / "other/run.json"));
  CHECK_FALSE(moe::same_file(s / "new", s / "a/new"));
  CHECK_FALSE(moe::same_file("", s / "a"));
}

TEST_CASE("an output is no file of the model") {
  const Scratch s;
  fs::create_directories(s / "m");
  for (const char* name : {"config.json", "model-00001-of-00002.safetensors", "notes.json"})
    std::ofstream(s / (std::string("m/") + name)) << "x";
  fs::create_hard_link(s / "m/config.json", s / "link");
  const auto refused = [&](const std::string& output, const std::string& model) {
    const auto ok = moe::check_not_of_model(output, model);
    return !ok && ok.error().code == moe::ErrorCode::bad_argument;
  };
  CHECK(refused(s / "m/config.json", s / "m"));
  CHECK(refused(s / "m/../m/model-00001-of-00002.safetensors", s / "m"));
  CHECK(refused(s / "link", s / "m/"));
  CHECK(refused(s / "m", s / "m"));
  CHECK(refused(s / "link", s / "m/config.json"));
  CHECK_FALSE(refused(s / "m/notes.json", s / "m"));
  CHECK_FALSE(refused(s / "m/logits.npy", s / "m"));
  CHECK_FALSE(refused(s / "out", s / "none"));
}

}  // namespace same_file_test
