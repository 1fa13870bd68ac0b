#include "checkpoint/block_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

namespace moe::inline MOE_ABI::checkpoint {

void BlockCache::keep(std::size_t count) {
  const std::lock_guard lock(mutex_);
  limit_ = std::max<std::size_t>(count, 1);
  make_room(limit_);
}

std::size_t BlockCache::add_file(std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  files_.push_back({size, {}});
  files_.back().digests.resize(static_cast<std::size_t>((size + kFileBlockBytes - 1) / kFileBlockBytes));
  return files_.size() - 1;
}

std::optional<ContentDigest> BlockCache::digest(std::size_t file, std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return files_[file].digests[index];
}

std::vector<BlockCache::Kept>::iterator BlockCache::find(std::size_t file, std::size_t index) {
  return std::find_if(kept_.begin(), kept_.end(), [=](const Kept& k) { return k.file == file && k.index == index; });
}

// Drops the oldest until `count` are left, except those being read.
void BlockCache::make_room(std::size_t count) {
  for (auto it = kept_.begin(); it != kept_.end() && kept_.size() > count;)
    it = it->bytes == nullptr ? it + 1 : kept_.erase(it);
}

Result<BlockCache::Bytes> BlockCache::get(std::size_t file, std::size_t index, const Read& read) {
  std::unique_lock lock(mutex_);
  auto found = find(file, index);
  for (; found != kept_.end(); found = find(file, index)) {
    if (found->bytes != nullptr) {
      std::rotate(found, found + 1, kept_.end());
      return kept_.back().bytes;
    }
    was_read_.wait(lock);
  }
  make_room(limit_ - 1);
  kept_.push_back({file, index, nullptr});
  const std::uint64_t left = files_[file].size - index * kFileBlockBytes;
  lock.unlock();
  // Others wait for the block, also if reading it throws (no memory).
  struct Reading {
    BlockCache& cache;
    std::size_t file, index;
    Bytes bytes = nullptr;
    ~Reading() {
      {
        const std::lock_guard held(cache.mutex_);
        const auto place = cache.find(file, index);
        if (bytes != nullptr)
          place->bytes = std::move(bytes);
        else
          cache.kept_.erase(place);
      }
      cache.was_read_.notify_all();
    }
  } reading{*this, file, index};
  auto bytes = read_and_hash(file, index, static_cast<std::size_t>(std::min(left, kFileBlockBytes)), read);
  if (bytes) reading.bytes = *bytes;
  return bytes;
}

std::shared_ptr<std::byte[]> BlockCache::take_buffer() {
  std::unique_ptr<std::byte[]> buffer;
  {
    const std::lock_guard lock(spare_->mutex);
    if (!spare_->buffers.empty()) {
      buffer = std::move(spare_->buffers.back());
      spare_->buffers.pop_back();
    } else {
      spare_->buffers.reserve(++spare_->count);  // giving one back must not fail
    }
  }
  if (buffer == nullptr) buffer.reset(new (std::nothrow) std::byte[kFileBlockBytes]);
  if (buffer == nullptr) return nullptr;
  return {buffer.release(), [spare = spare_](std::byte* used) {
            const std::lock_guard lock(spare->mutex);
            spare->buffers.emplace_back(used);
          }};
}

Result<BlockCache::Bytes> BlockCache::read_and_hash(std::size_t file, std::size_t index, std::size_t size,
                                                    const Read& read) {
  const std::shared_ptr<std::byte[]> bytes = take_buffer();
  if (bytes == nullptr) return fail(ErrorCode::out_of_memory, fmt::format("no memory for {} bytes of a file", size));
  const std::span<std::byte> all(bytes.get(), size);
  if (auto ok = read(all); !ok) return forward(ok);
  const ContentDigest digest = hash_(all);
  const std::lock_guard lock(mutex_);
  auto& first = files_[file].digests[index];
  if (first && *first != digest)
    return fail(ErrorCode::io, fmt::format("bytes {} to {} were changed while the file was read",
                                           index * kFileBlockBytes, index * kFileBlockBytes + size - 1));
  first = digest;
  return Bytes(bytes);
}

}  // namespace moe::inline MOE_ABI::checkpoint
