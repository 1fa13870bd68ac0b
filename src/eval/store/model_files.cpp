// What identifies a model: the contents of its files.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "checkpoint/checkpoint.hpp"
#include "eval/store/sha256.hpp"
#include "moe/eval/store.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kChunk = std::int64_t{4} << 20;

bool belongs_to_model(const fs::path& file) {
  const std::string extension = file.extension().string();
  for (const char* known : {".json", ".safetensors", ".model", ".txt", ".jinja"})
    if (extension == known) return true;
  return false;
}

// NAME-00001-of-00003.gguf and its neighbours; any other file is alone.
std::vector<fs::path> shards(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::size_t of = name.rfind("-of-");
  const std::size_t dash = of == std::string::npos ? of : name.rfind('-', of - 1);
  if (of == std::string::npos || of == 0 || dash == std::string::npos) return {file};
  std::vector<fs::path> out;
  std::error_code failed;
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string other = at->path().filename().string();
    if (other.size() == name.size() && other.compare(0, dash, name, 0, dash) == 0 &&
        other.compare(of, std::string::npos, name, of) == 0)
      out.push_back(at->path());
  }
  return out.empty() ? std::vector<fs::path>{file} : out;
}

tl::unexpected<Error> cannot_read(const std::string& path) {
  const int error = errno;
  return fail(error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io,
              fmt::format("cannot read {}: {}", path, std::strerror(error)));
}

// SHA-256 of the digests of stretches of 4 MiB, which are computed in parallel.
Result<std::string> hash_file(const std::string& path, const ParallelFor& threads,
                              const std::function<bool()>& cancelled) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_read(path);
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    auto failed = cannot_read(path);
    ::close(fd);
    return failed;
  }
  const auto size = static_cast<std::int64_t>(info.st_size);
  const std::int64_t count = (size + kChunk - 1) / kChunk;
  std::vector<std::array<std::uint8_t, 32>> digests(static_cast<std::size_t>(count));
  std::vector<char> good(static_cast<std::size_t>(count), 0);
  parallel_for(threads, count, [&](std::int64_t i, std::int32_t) {
    if (cancelled && cancelled()) return;
    std::string bytes(static_cast<std::size_t>(std::min(kChunk, size - i * kChunk)), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::pread(fd, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(i * kChunk) + static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      done += static_cast<std::size_t>(n);
    }
    digests[static_cast<std::size_t>(i)] = sha256(bytes);
    good[static_cast<std::size_t>(i)] = 1;
  });
  ::close(fd);
  if (cancelled && cancelled()) return fail(ErrorCode::cancelled, "interrupted");
  if (std::find(good.begin(), good.end(), 0) != good.end())
    return fail(ErrorCode::io, fmt::format("cannot read {}: it ended early", path));
  std::string all = fmt::format("{} ", size);
  for (const auto& digest : digests) all.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  return sha256_hex(all);
}

}  // namespace

Result<std::string> hash_model_files(const std::string& path, const ParallelFor& threads,
                                     const std::function<bool()>& cancelled) {
  std::vector<fs::path> files;
  std::error_code failed;
  std::string inside;  // a directory may stand for the one GGUF file in it
  if (fs::is_directory(path, failed)) {
    const auto found = checkpoint::gguf_of_directory(path);
    if (!found) return forward(found);
    inside = *found;
  }
  if (!inside.empty()) {
    files = shards(inside);
  } else if (fs::is_directory(path, failed)) {
    for (fs::directory_iterator at(path, failed), end; !failed && at != end; at.increment(failed))
      if (belongs_to_model(at->path())) files.push_back(at->path());
    if (failed) return fail(ErrorCode::io, fmt::format("cannot read {}: {}", path, failed.message()));
  } else {
    files = shards(path);
  }
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) { return a.filename() < b.filename(); });
  std::string all;
  for (const fs::path& file : files) {
    const auto digest = hash_file(file.string(), threads, cancelled);
    if (!digest) return digest;
    // One file may be renamed; in a directory the names say what the files are.
    all += (files.size() > 1 ? file.filename().string() : std::string()) + '\0' + *digest;
  }
  return sha256_hex(all);
}

}  // namespace moe::inline MOE_ABI::eval
