# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""Importing this makes later imports of a module's own files cheaper; it is imported before them.

Ansible hands a module to Python as a zip file of sources. Up to at least Python 3.13, zipimport compiles each source
twice: ``find_spec`` wants a file name, for which ``get_filename`` compiles and throws the code away. A call with nothing
to do consists of imports mostly, and this was a sixth of what it takes longer than ansible.builtin.ping. So the code is
kept for the second time. The process ends with the module's call, and should a Python come without that function, then
nothing is done.
"""

from __future__ import annotations

import functools
import zipimport

if hasattr(zipimport, "_compile_source"):
    zipimport._compile_source = functools.cache(zipimport._compile_source)
