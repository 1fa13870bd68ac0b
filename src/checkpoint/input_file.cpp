#include "checkpoint/input_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace moe::inline MOE_ABI::checkpoint {

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

std::int64_t nanoseconds(const timespec& t) { return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec; }

}  // namespace

Result<InputFile> InputFile::open(std::string path, std::shared_ptr<BlockCache> blocks) {
  if (path.find('\0') != std::string::npos) return fail(ErrorCode::not_found, "a file name contains a NUL byte");
  InputFile file;
  file.path_ = std::move(path);
  // Non-blocking: opening a FIFO must not wait for a writer.
  file.descriptor_ = ::open(file.path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor_ < 0) {
    const int error = errno;
    const bool absent = error == ENOENT || error == ENOTDIR;
    return fail(absent ? ErrorCode::not_found : ErrorCode::io,
                fmt::format("{}: cannot be opened: {}", file.path_, reason(error)));
  }
  const auto state = file.state();
  if (!state) return forward(state);
  if (!S_ISREG(state->mode)) return fail(ErrorCode::bad_file, fmt::format("{}: is not a regular file", file.path_));
  file.size_ = static_cast<std::uint64_t>(state->size);
  file.opened_ = *state;
  if (blocks != nullptr) file.number_ = blocks->add_file(file.size_);
  file.blocks_ = std::move(blocks);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      uncached_(other.uncached_.exchange(kNotOpened)),
      known_digest_(std::move(other.known_digest_)),
      size_(other.size_),
      opened_(other.opened_),
      blocks_(std::move(other.blocks_)),
      number_(other.number_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  uncached_.store(other.uncached_.exchange(uncached_.load()));
  std::swap(known_digest_, other.known_digest_);
  std::swap(size_, other.size_);
  std::swap(opened_, other.opened_);
  std::swap(blocks_, other.blocks_);
  std::swap(number_, other.number_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (uncached_ >= 0) ::close(uncached_);
}

Result<InputFile::State> InputFile::state() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0)
    return fail(ErrorCode::io, fmt::format("{}: cannot be examined: {}", path_, reason(errno)));
  return State{static_cast<std::int64_t>(status.st_size),
               nanoseconds(status.st_mtim),
               nanoseconds(status.st_ctim),
               status.st_nlink,
               status.st_mode,
               status.st_uid,
               status.st_gid};
}

Result<void> InputFile::check_unchanged() const {
  const auto now = state();
  if (!now) return forward(now);
  if (now->size != opened_.size)
    return fail(ErrorCode::io,
                fmt::format("{}: has {} bytes now, {} when it was opened", path_, now->size, opened_.size));
  if (now->modified_ns != opened_.modified_ns)
    return fail(ErrorCode::io, fmt::format("{}: was modified after it was opened", path_));
  // The change time (ctime) also changes when the file is replaced, linked or gets new permissions, with its content
  // unchanged. In all other cases, it may have been written and its modification time set back.
  const bool explained = now->links != opened_.links || now->mode != opened_.mode || now->user != opened_.user ||
                         now->group != opened_.group;
  if (now->changed_ns != opened_.changed_ns && !explained)
    return fail(ErrorCode::io, fmt::format("{}: was changed after it was opened", path_));
  return {};
}

Result<void> InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset)
    return fail(ErrorCode::io,
                fmt::format("{}: ends at byte {}, expected {} bytes at {}", path_, size_, out.size(), offset));
  if (blocks_ == nullptr || !known_digest_.empty()) return read_directly(offset, out);
  while (!out.empty()) {
    const auto index = static_cast<std::size_t>(offset / kFileBlockBytes),
               at = static_cast<std::size_t>(offset % kFileBlockBytes);
    const std::size_t n = std::min(out.size(), static_cast<std::size_t>(kFileBlockBytes) - at);
    const auto bytes = block(index);
    if (!bytes) return forward(bytes);
    std::memcpy(out.data(), bytes->get() + at, n);
    out = out.subspan(n);
    offset += n;
  }
  // The bytes in memory are valid, but a partly old file is not acceptable.
  return check_unchanged();
}

Result<BlockCache::Bytes> InputFile::block(std::size_t index) const {
  auto bytes = blocks_->get(number_, index,
                            [&](std::span<std::byte> out) { return read_directly(index * kFileBlockBytes, out); });
  if (bytes || bytes.error().message.starts_with(path_)) return bytes;
  return fail(bytes.error().code, fmt::format("{}: {}", path_, bytes.error().message));
}

Result<void> InputFile::hash_block(std::size_t index) const {
  if (blocks_ == nullptr) return fail(ErrorCode::bad_argument, fmt::format("{}: was opened without a hash", path_));
  if (blocks_->digest(number_, index)) return {};
  const auto bytes = block(index);
  return bytes ? Result<void>{} : forward(bytes);
}

std::optional<ContentDigest> InputFile::digest(std::size_t index) const {
  return blocks_ == nullptr ? std::nullopt : blocks_->digest(number_, index);
}

bool InputFile::is_private() const {
  return (opened_.user == ::geteuid() || opened_.user == 0) && (opened_.mode & (S_IWGRP | S_IWOTH)) == 0;
}

std::string InputFile::access_in_words() const {
  return fmt::format("user {} owns it and its mode is {:o}", opened_.user, opened_.mode & 07777u);
}

// Opened at the first use, by whichever thread is first. The name in /proc leads to this very file, whatever its own
// name leads to now.
int InputFile::uncached_descriptor() const {
  int current = uncached_.load();
  if (current != kNotOpened) return current;
  int mine = ::open(fmt::format("/proc/self/fd/{}", descriptor_).c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (mine < 0) mine = kRefused;
  if (uncached_.compare_exchange_strong(current, mine)) return mine;
  if (mine >= 0) ::close(mine);
  return current;
}

Result<void> InputFile::read_uncached(std::uint64_t offset, std::span<std::byte> out) const {
  constexpr std::uint64_t kUnit = 4096;
  const bool aligned = (offset | out.size() | reinterpret_cast<std::uintptr_t>(out.data())) % kUnit == 0;
  const int descriptor = aligned ? uncached_descriptor() : kRefused;
  if (descriptor >= 0 && read_by(descriptor, offset, out)) return {};
  return read_directly(offset, out);  // also where that file system needs another alignment
}

Result<std::shared_ptr<const std::byte>> InputFile::map(std::uint64_t bytes) const {
  if (auto ok = check_unchanged(); !ok) return forward(ok);
  if (bytes == 0 || bytes > size_)
    return fail(ErrorCode::io, fmt::format("{}: ends at byte {}, cannot map {}", path_, size_, bytes));
  void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (at == MAP_FAILED) return fail(ErrorCode::io, fmt::format("{}: cannot be mapped: {}", path_, reason(errno)));
  return std::shared_ptr<const std::byte>(static_cast<const std::byte*>(at),
                                          [bytes](const std::byte* p) { ::munmap(const_cast<std::byte*>(p), bytes); });
}

Result<void> InputFile::read_by(int descriptor, std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    // One call reads at most 1 GiB: Linux limits a read to just under 2 GiB.
    const std::size_t part = std::min(out.size() - done, std::size_t{1} << 30);
    const ssize_t n = ::pread(descriptor, out.data() + done, part, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(ErrorCode::io, fmt::format("{}: cannot be read: {}", path_, reason(errno)));
    if (n == 0) {
      if (auto ok = check_unchanged(); !ok) return ok;
      return fail(ErrorCode::io, fmt::format("{}: ended at byte {}, expected {} bytes at {}", path_, offset + done,
                                             out.size(), offset));
    }
    done += static_cast<std::size_t>(n);
  }
  // After reading, so that earlier and concurrent writes are detected.
  return check_unchanged();
}

}  // namespace moe::inline MOE_ABI::checkpoint
