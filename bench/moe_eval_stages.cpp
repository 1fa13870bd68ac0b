// moe-eval-stages: moe-eval for a model whose layers are divided among the processes of mpirun.

#include "bench/eval_program.hpp"
#include "mpi/mpi_transport.hpp"

int main(int argc, char** argv) {
  return eval_program::run(argc, argv, []() -> moe::Result<eval_stages::Started> {
    auto transport = moe::MpiTransport::start();
    if (!transport) return moe::forward(transport);
    return eval_stages::Started{*transport, [mpi = *transport](int status) { mpi->fail(status); }};
  });
}
