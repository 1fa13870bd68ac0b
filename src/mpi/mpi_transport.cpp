#include "mpi/mpi_transport.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include <chrono>
#include <climits>

namespace moe::inline MOE_ABI {
namespace {

constexpr int kTag = 1;
constexpr std::chrono::microseconds kPause{50};
constexpr std::chrono::milliseconds kLongPause{1};  // after a second without messages

tl::unexpected<Error> broken(const std::string& text) { return moe::fail(ErrorCode::io, text); }

}  // namespace

struct MpiTransport::Transfers {
  struct Sending {
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<std::byte> bytes;
  };
  struct Receiving {
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<std::byte> bytes;
    std::int32_t from = 0;
  };
  std::list<Sending> sending;
  std::list<Receiving> receiving;  // in the order of their arrival
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

Result<std::shared_ptr<MpiTransport>> MpiTransport::start() {
  std::shared_ptr<MpiTransport> transport(new MpiTransport);
  const auto body = [](void* t) -> void* {
    static_cast<MpiTransport*>(t)->run();
    return nullptr;
  };
  if (const int refused = pthread_create(&transport->thread_, nullptr, body, transport.get()); refused != 0)
    return broken(fmt::format("a thread for MPI cannot be started: error {}", refused));
  std::unique_lock lock(transport->mutex_);
  transport->has_message_.wait(lock, [&] { return transport->has_begun_ || transport->has_failed_; });
  if (transport->has_failed_) return broken(transport->error_);
  return transport;
}

MpiTransport::~MpiTransport() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  has_work_.notify_all();
  pthread_join(thread_, nullptr);
}

void MpiTransport::fail(int status) {
  const std::lock_guard lock(mutex_);
  has_failed_ = true;
  status_ = status;
}

Result<void> MpiTransport::send(std::int32_t to, std::span<const std::byte> message) {
  if (message.size() > INT_MAX)
    return broken(fmt::format("a message of {} bytes, expected at most {}", message.size(), INT_MAX));
  {
    const std::lock_guard lock(mutex_);
    if (has_failed_) return broken(error_);
    outgoing_.push_back({to, {message.begin(), message.end()}});
  }
  has_work_.notify_one();
  return {};
}

Result<std::vector<std::byte>> MpiTransport::receive(std::int32_t from, double seconds) {
  std::unique_lock lock(mutex_);
  auto& messages = arrived_[static_cast<std::size_t>(from)];
  const auto is_over = [&] { return has_failed_ || !messages.empty(); };
  if (seconds <= 0.0)
    has_message_.wait(lock, is_over);
  else if (!has_message_.wait_for(lock, std::chrono::duration<double>(seconds), is_over))
    error_ = fmt::format("no message within {:.1f} seconds", seconds), has_failed_ = true;
  if (messages.empty()) return broken(error_);
  std::vector<std::byte> message = std::move(messages.front());
  messages.pop_front();
  return message;
}

// ---- the thread

void MpiTransport::check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  const std::lock_guard lock(mutex_);
  error_ = fmt::format("{}: {}", what, std::string(text, static_cast<std::size_t>(length)));
  has_failed_ = true;
  has_message_.notify_all();
}

bool MpiTransport::begin() {
  int provided = 0, rank = 0, size = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  const std::lock_guard lock(mutex_);
  rank_ = rank, size_ = size;
  arrived_.resize(static_cast<std::size_t>(size));
  has_begun_ = true;
  has_message_.notify_all();
  return !has_failed_;
}

void MpiTransport::send_new(Transfers& transfers) {
  std::deque<Outgoing> fresh;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(outgoing_);
  }
  for (Outgoing& message : fresh) {
    Transfers::Sending& sending = transfers.sending.emplace_back();
    sending.bytes = std::move(message.bytes);
    check(MPI_Isend(sending.bytes.data(), static_cast<int>(sending.bytes.size()), MPI_BYTE, message.to, kTag,
                    MPI_COMM_WORLD, &sending.request),
          "MPI_Isend");
    transfers.last = std::chrono::steady_clock::now();
  }
}

void MpiTransport::look(Transfers& transfers) {
  for (auto s = transfers.sending.begin(); s != transfers.sending.end();) {
    int done = 0;
    check(MPI_Test(&s->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    s = done ? transfers.sending.erase(s) : std::next(s);
  }
  int is_there = 0, bytes = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status = {};
  check(MPI_Improbe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &is_there, &message, &status), "MPI_Improbe");
  if (is_there) {
    check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    Transfers::Receiving& r = transfers.receiving.emplace_back();
    r.bytes.resize(static_cast<std::size_t>(bytes));
    r.from = status.MPI_SOURCE;
    check(MPI_Imrecv(r.bytes.data(), bytes, MPI_BYTE, &message, &r.request), "MPI_Imrecv");
    transfers.last = std::chrono::steady_clock::now();
  }
  // Messages of one stage are handed over in order, so a short one waits for a long one before it.
  std::vector<bool> waits(arrived_.size(), false);
  for (auto r = transfers.receiving.begin(); r != transfers.receiving.end();) {
    const auto from = static_cast<std::size_t>(r->from);
    int done = 0;
    if (!waits[from]) check(MPI_Test(&r->request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (!done) {
      waits[from] = true;
      ++r;
      continue;
    }
    const std::lock_guard lock(mutex_);
    arrived_[from].push_back(std::move(r->bytes));
    has_message_.notify_all();
    r = transfers.receiving.erase(r);
  }
}

void MpiTransport::run() {
  if (!begin()) return;
  Transfers transfers;
  for (;;) {
    send_new(transfers);
    look(transfers);
    std::unique_lock lock(mutex_);
    if (has_failed_ && ends_) {
      const int status = status_;
      lock.unlock();
      MPI_Abort(MPI_COMM_WORLD, status);
      return;
    }
    if (ends_ && outgoing_.empty() && transfers.sending.empty()) break;
    const bool is_quiet = std::chrono::steady_clock::now() - transfers.last > std::chrono::seconds(1);
    has_work_.wait_for(lock, is_quiet ? kLongPause : kPause, [&] { return !outgoing_.empty(); });
  }
  MPI_Finalize();
}

}  // namespace moe::inline MOE_ABI
