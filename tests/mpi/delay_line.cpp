// A line between two network namespaces that delays every packet, as a network does: a TUN device in each of them, and
// threads that carry packets over. Kernels without netem have nothing else.
// usage: delay_line NAMESPACE DEVICE NAMESPACE DEVICE MICROSECONDS; prints "ready", then works until it is
// killed or its parent is gone

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

/// A device of a namespace, which this thread has entered then; -1 and a message where there is none.
int open_device(const std::string& name_space, const char* device) {
  const int space = ::open(("/run/netns/" + name_space).c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || ::setns(space, CLONE_NEWNET) != 0) return std::perror(name_space.c_str()), -1;
  ::close(space);
  const int tun = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  ifreq request = {};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (tun < 0 || ::ioctl(tun, TUNSETIFF, &request) != 0) return std::perror("/dev/net/tun"), -1;
  return tun;
}

/// One direction: packets wait in order until their time has come.
class Line {
 public:
  Line(int from, int to, std::chrono::microseconds delay) : from_(from), to_(to), delay_(delay) {}

  void take() {
    std::vector<char> packet(65536);
    for (ssize_t bytes; (bytes = ::read(from_, packet.data(), packet.size())) > 0;) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({Clock::now() + delay_, {packet.begin(), packet.begin() + bytes}});
      has_packet_.notify_one();
    }
  }

  void give() {
    for (;;) {
      std::unique_lock lock(mutex_);
      has_packet_.wait(lock, [&] { return !waiting_.empty(); });
      const Packet packet = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      std::this_thread::sleep_until(packet.due);
      // A packet that is lost is sent again by TCP.
      if (::write(to_, packet.bytes.data(), packet.bytes.size()) < 0) continue;
    }
  }

 private:
  struct Packet {
    Clock::time_point due;
    std::vector<char> bytes;
  };
  int from_, to_;
  std::chrono::microseconds delay_;
  std::mutex mutex_;
  std::condition_variable has_packet_;
  std::deque<Packet> waiting_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed cannot end this
  const int a = open_device(argv[1], argv[2]), b = open_device(argv[3], argv[4]);
  if (a < 0 || b < 0) return 1;
  const std::chrono::microseconds delay(std::atoi(argv[5]));
  Line there(a, b, delay), back(b, a, delay);
  std::puts("ready");
  std::fflush(stdout);
  std::thread threads[] = {std::thread([&] { there.take(); }), std::thread([&] { there.give(); }),
                           std::thread([&] { back.take(); }), std::thread([&] { back.give(); })};
  for (std::thread& thread : threads) thread.join();
  return 0;
}
