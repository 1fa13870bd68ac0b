#pragma once
// The parts of Boost that the server is made of. Asio 1.74 uses std::exchange without <utility>.

#include <utility>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve::http {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorOfSystem = boost::system::error_code;

}  // namespace moe::inline MOE_ABI::serve::http
