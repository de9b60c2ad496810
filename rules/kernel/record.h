// The record of what up() did in a network namespace, so that down() can undo exactly that.
//
// Theory of operation
//
// A file in the folder of the control socket, one for each network namespace. It is written before
// the kernel is told anything, so whatever part of the work was done when a process ended, down()
// finds it. A record of another boot, or of a namespace that is gone and whose number was given out
// again, does not count. Rules and routes are found in the kernel itself by their names and
// numbers; the layout in the record is what a failing up() returns to, and with the stock what the
// daemon puts back (inspect.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/found/listing.h"
#include "rules/kernel/plan.h"
#include "rules/system/sysctl.h"

namespace swnat::rules {

// What a completed up() left in the kernel, for those who look later whether it is still so.
struct Stock {
  RuleListing rules;            // as listed right afterwards
  std::vector<Sysctl> sysctls;  // all that it asked for, whether they were so before or not
  std::string configuration;    // of which file's contents, as configuration_digest() tells
  std::uint32_t first_queue = 0;
  std::uint32_t workers = 0;
};

struct Record {
  std::optional<Layout> layout;  // of the last up() that was completed
  std::optional<Stock> stock;    // of the same
  SysctlRecord sysctls;
  // Chains of `iptables` tables that were not there before, as in "raw PREROUTING": iptables on top
  // of nft makes them when they are first used, and leaves them empty.
  std::vector<std::string> made_chains;
  // Tenants with interfaces: those of that up(), and those that it found removed.
  std::vector<RemovedTenant> tenants;
  std::vector<RemovedTenant> removed;
  std::vector<std::string> made_folders;  // outer before inner
};

// Where this network namespace's lies, and what is in it now, for those who only look and need no
// lock. Nothing if there is none that counts. Throws KernelError if it is damaged.
std::string record_path(const std::string& control_socket);
std::optional<Record> record_beside(const std::string& control_socket);

// The folder that records lie in; exclusively locked as long as this lives. If it was made for
// nothing, it goes again.
class RecordFolder {
 public:
  // Makes the folder if it is missing. Waits while another process has it locked, for a minute at
  // most. Throws KernelError.
  explicit RecordFolder(const std::string& control_socket);
  // The same, but nothing while another process has it locked.
  static std::unique_ptr<RecordFolder> try_to_lock(const std::string& control_socket);
  ~RecordFolder();
  RecordFolder(const RecordFolder&) = delete;
  RecordFolder& operator=(const RecordFolder&) = delete;

  // Whether there is a record of this network namespace that counts. Throws KernelError, as load()
  // does, if it is damaged or cannot be read.
  bool has_record() const { return find().has_value(); }
  std::optional<Record> find() const;
  // This network namespace's record; an empty one, apart from the folders, if there is none that
  // counts.
  Record load() const;
  // Gives a damaged record another name, so that it is neither used nor overwritten. Returns what
  // is wrong with it and where it is now, for people; nothing if there is none that is damaged.
  std::optional<std::string> put_damaged_aside() const;
  // Replaces the record in one step that survives a crash.
  void save(const Record& record) const;
  // Removes the record, and the folders that were made for it if nothing else is in them.
  void remove(const Record& record) const;

 private:
  RecordFolder(const std::string& control_socket, bool waits);
  bool open_and_lock(bool waits);
  bool lock(bool waits) const;
  bool is_locked() const { return fd_ >= 0; }
  std::optional<std::string> read() const;

  std::string folder_;
  std::string file_;
  std::vector<std::string> made_;
  int fd_ = -1;
};

}  // namespace swnat::rules
