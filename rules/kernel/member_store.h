// Where the book of members lies between processes, and who may write in it.
//
// Theory of operation
//
// A file beside the record of `up`, and like it one for each network namespace, of this boot only;
// it is written anew with each change, before the kernel is told. Who has it locked may change
// members in the kernel too: `up`, `down`, repairs and the follower (member_follower.h). It is held
// for one change each time, where the record's lock is held as long as an operator thinks about
// `up --confirm`. Who needs both takes the record's first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rules/kernel/member_book.h"
#include "rules/kernel/record_json.h"

namespace swnat::rules {

class MemberStore {
 public:
  // Whether somebody ever had it, and did not remove() it.
  static bool is_there(const std::string& control_socket);
  // Waits while another has it, for a minute at most. Throws KernelError, also where the folder of
  // the control socket is not there.
  explicit MemberStore(const std::string& control_socket);
  // The same, but nothing while another has it or where the folder is not there.
  static std::unique_ptr<MemberStore> try_to_lock(const std::string& control_socket);
  ~MemberStore();
  MemberStore(const MemberStore&) = delete;
  MemberStore& operator=(const MemberStore&) = delete;

  // An empty one where there is none of this boot and network namespace. Throws KernelError.
  MemberBook load() const;
  void save(const MemberBook& book) const;
  // Files and lock.
  void remove() const;
  // What changes with each save(); empty if there is no book.
  std::string version() const;

 private:
  MemberStore() = default;
  bool open_and_lock(const std::string& control_socket);

  std::string file_;
  std::string lock_file_;
  int lock_ = -1;
};

// As in the file.
std::string to_text(const MemberBook& book, const RecordOrigin& origin);
// An empty one for text of another origin, or that is no book.
MemberBook book_in(const std::string& text, const RecordOrigin& origin);

// Of any file: what changes when it is replaced. Empty if it is not there.
std::string file_version(const std::string& path);

}  // namespace swnat::rules
