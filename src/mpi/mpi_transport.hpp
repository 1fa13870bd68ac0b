#pragma once
// A StageTransport over MPI: the processes that mpirun starts are the stages.

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "moe/stages.hpp"

namespace moe::inline MOE_ABI {

/// One object per process. MPI belongs to a thread of its own (MPI_THREAD_FUNNELED), so that messages go on while the
/// session computes; it looks every 50 us, instead of without a pause as MPI would.
class MpiTransport final : public StageTransport {
 public:
  /// MPI_Init. Errors: io.
  static Result<std::shared_ptr<MpiTransport>> start();
  /// MPI_Finalize, when all messages are gone; after an error of send() or receive() or fail(), MPI_Abort, which ends
  /// all processes: MPI cannot go on without one of them.
  ~MpiTransport() override;
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  std::int32_t rank() const override { return rank_; }
  std::int32_t size() const override { return size_; }
  Result<void> send(std::int32_t to, std::span<const std::byte> message) override;
  Result<std::vector<std::byte>> receive(std::int32_t from, double seconds) override;
  /// The destructor will end all processes, with this exit status.
  void fail(int status);

 private:
  struct Outgoing {
    std::int32_t to = 0;
    std::vector<std::byte> bytes;
  };
  struct Transfers;  // of MPI, known to the thread alone
  MpiTransport() = default;
  void run();
  bool begin();
  void send_new(Transfers& transfers);
  void look(Transfers& transfers);
  void check(int code, const char* what);

  std::mutex mutex_;
  std::condition_variable has_work_, has_message_;
  std::deque<Outgoing> outgoing_;
  std::vector<std::deque<std::vector<std::byte>>> arrived_;  // [from]
  std::string error_;
  bool has_begun_ = false, ends_ = false, has_failed_ = false;
  int status_ = 1;  // of MPI_Abort
  std::int32_t rank_ = 0, size_ = 0;
  pthread_t thread_ = {};
};

}  // namespace moe::inline MOE_ABI
