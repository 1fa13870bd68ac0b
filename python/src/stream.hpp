#pragma once
// A streamed reply: a separate thread computes it, Python takes the pieces.

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "model.hpp"

namespace moe_python {

struct StreamPiece {
  std::string text;
  std::vector<moe::TokenId> tokens;
};

class Stream {
 public:
  Stream(ModelHandle model, moe::Prompt prompt, moe::GenerateOptions options);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// The next piece; nothing after the last one. Waits without the GIL and checks for signals. Errors: the reply's.
  std::optional<StreamPiece> next();
  /// Ends the reply now; no effect if it has ended.
  void close();
  /// The whole reply once it has ended.
  const std::optional<moe::Generation>& result() const { return result_; }

 private:
  // Shared by both threads.
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<StreamPiece> pieces;
    std::optional<moe::Result<moe::Generation>> outcome;
    std::atomic<bool> stop{false};
  };
  void join();

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::unique_ptr<Lease<moe::Generator>> lease_;
  std::unique_ptr<std::thread> thread_;
  std::optional<moe::Generation> result_;
  bool has_ended_ = false;  // next() has said so, and raised the reply's error
  std::int64_t forks_ = fork_count();
};

}  // namespace moe_python
