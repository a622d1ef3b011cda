// SPDX-License-Identifier: Apache-2.0
#include "tests/support/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "user/handles.h"

namespace alloctrail::test {

uint16_t free_port() {
  const UniqueFd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    throw std::runtime_error("no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

pid_t child_of(pid_t parent) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream status(entry.path() / "status");
    for (std::string name; status >> name;)
      if (pid_t its_parent = 0; name == "PPid:" && status >> its_parent && its_parent == parent)
        return std::stoi(entry.path().filename());
  }
  throw std::runtime_error("process " + std::to_string(parent) + " has no child");
}

std::vector<std::string> nginx_command(const std::string& folder, uint16_t port) {
  const std::string configuration = folder + "/nginx.conf";
  std::ofstream(folder + "/index.html") << std::string(20000, 'a');
  std::ofstream config(configuration);
  config << "daemon off; user root; worker_processes 1; pid pid; error_log stderr notice;\n"
         << "events { worker_connections 64; }\n"
         << "http { access_log off; log_not_found off; gzip on; gzip_types text/html; default_type text/html;\n";
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    config << kind << "_temp_path " << kind << ";\n";
  config << "server { listen 127.0.0.1:" << port << "; root " << folder << "; autoindex on; } }\n";
  return {"/usr/sbin/nginx", "-p", folder, "-c", configuration, "-e", "stderr"};
}

}  // namespace alloctrail::test
