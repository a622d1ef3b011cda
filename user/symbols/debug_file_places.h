// SPDX-License-Identifier: Apache-2.0
// Separate debug files, looked for on the host and nowhere else: no path inside the target's root, and no network.
#pragma once

#include <string>
#include <vector>

#include "user/symbols/debug_file_request.h"
#include "user/symbols/file_identity.h"

namespace alloctrail {

/// Those of one file. Only regular files that begin as ELF files are handed out, whoever asks.
class DebugFilePlaces : public DebugFileSource {
 public:
  /// `path` is how the target names the file.
  explicit DebugFilePlaces(std::string path) : path_(std::move(path)) {}

  /// By build-id below /usr/lib/debug; by .gnu_debuglink beside the file, in its .debug folder and below /usr/lib/debug;
  /// supplementary files below /usr/lib/debug, named by a debug file that only root can have put there.
  [[nodiscard]] DebugFileReply open(const DebugFileRequest& request) override;

  /// What was looked at, in order, and which file was there: none if there was none.
  struct Look {
    std::string path;
    std::optional<FileIdentity> found;
  };
  [[nodiscard]] const std::vector<Look>& looks() const { return looks_; }
  /// Would the same files be found now?
  [[nodiscard]] static bool is_unchanged(const std::vector<Look>& looks);

 private:
  [[nodiscard]] std::vector<std::string> places(const DebugFileRequest& request) const;

  std::string path_;
  std::string trusted_folder_;  ///< of the debug file found last, if only root can write there; ends with '/'
  std::vector<Look> looks_;
};

}  // namespace alloctrail
