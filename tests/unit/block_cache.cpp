// Blocks of the files that are hashed: each is read once, and one that is read again must be what it was.

#include <atomic>
#include <thread>

#include "checkpoint/content_hash.hpp"
#include "scratch_dir.hpp"
#include "support/sha256.hpp"
#include "unit/changing_files.hpp"

namespace block_cache_test {

namespace {

using namespace moe_test;

constexpr moe::ContentHash kSha256 = moe::sha256;  // one of the overloads

struct Scratch : ScratchDir {
  Scratch() : ScratchDir("moe_block_cache") {}
};

}  // namespace

TEST_CASE("a block that is read again must be what it was") {
  const Scratch scratch;
  constexpr std::size_t kBlock = moe::checkpoint::kFileBlockBytes, kCount = 5;
  std::string text(kBlock * kCount - 100, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  write_file(scratch.dir / "x", text);
  Mapping mapped(scratch.dir / "x");
  const auto blocks = std::make_shared<moe::checkpoint::BlockCache>(kSha256);
  const auto file = *moe::checkpoint::InputFile::open(scratch.dir / "x", blocks);
  const moe::checkpoint::ContentHasher all({{.name = "x", .file = &file}}, kSha256);
  const auto read = [&](std::size_t offset, std::size_t size) -> moe::Result<std::string> {
    std::string out(size, '\0');
    if (auto ok = file.read(offset, std::as_writable_bytes(std::span(out))); !ok) return moe::forward(ok);
    return out;
  };
  // Over a border, and what is left of the last one; then everything, in an order of its own.
  for (const auto& [offset, size] :
       {std::pair(kBlock - 5, std::size_t{10}), std::pair(std::size_t{1}, 3 * kBlock),
        std::pair(text.size() - 7, std::size_t{7}), std::pair(text.size(), std::size_t{0})})
    CHECK(read(offset, size) == text.substr(offset, size));
  CHECK_FALSE(read(text.size() - 7, 8).has_value());
  for (std::size_t i = all.blocks().size(); i-- > 0;) REQUIRE(all.add(i).has_value());
  const std::string digest = moe::sha256_hex('\0' + moe::checkpoint::content_digest(text, moe::sha256));
  CHECK(all.value() == digest);

  // The cache has two: the third is read from the file again, the first is not.
  REQUIRE(read(0, 1).has_value());
  mapped.flip(3);
  mapped.flip(2 * kBlock + 3);
  CHECK(read(0, 10) == text.substr(0, 10));
  const auto changed = read(2 * kBlock, 1);
  REQUIRE_FALSE(changed.has_value());
  CHECK(changed.error().code == moe::ErrorCode::io);
  CHECK_MESSAGE(changed.error().message.find("x: bytes 8388608 to 12582911 were changed") != std::string::npos,
                changed.error().message);
  mapped.flip(2 * kBlock + 3);
  CHECK(read(2 * kBlock, 10) == text.substr(2 * kBlock, 10));
  CHECK(all.value() == digest);
}

TEST_CASE("threads that want one block read it once") {
  moe::checkpoint::BlockCache cache(moe::sha256);
  constexpr std::size_t kCount = 6;
  const std::size_t number = cache.add_file(kCount * moe::checkpoint::kFileBlockBytes);
  cache.keep(kCount);
  std::atomic<int> reads{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < kCount; ++i) {
        const auto bytes = cache.get(number, i, [&](std::span<std::byte> out) -> moe::Result<void> {
          ++reads;
          std::memset(out.data(), static_cast<int>(i), out.size());
          return {};
        });
        wrong += !bytes || (*bytes)[moe::checkpoint::kFileBlockBytes - 1] != static_cast<std::byte>(i);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(reads == kCount);
}

}  // namespace block_cache_test
