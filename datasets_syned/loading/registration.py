"""Makes `load_dataset("syned", ...)` work after `import datasets_syned`: without a script, a folder or a network."""

import datasets
import datasets.load

from . import builder

NAME = "syned"


def register() -> None:
    """
    Adds the builder to those that come with the `datasets` library. There is no public way to (version 5.2): the table
    of packaged modules is private, its loader looks for data files in the working folder when no `data_dir` is given,
    and it counts each load with a request to a server. For the name "syned", and for no other, the last two are left
    out. Calling it again changes nothing.

    Raises:
        RuntimeError: this version of the library has another loader; [`load`] works all the same.
    """
    try:
        _register()
    except (AttributeError, ImportError) as error:
        raise RuntimeError(
            f"load_dataset({NAME!r}) does not work with datasets {datasets.__version__}, whose loader is another one "
            f"({error}): use datasets_syned.load(config, ...), or datasets 5.2"
        ) from error


def _register() -> None:
    from datasets import packaged_modules
    from datasets.data_files import DataFilesDict

    packaged_modules._PACKAGED_DATASETS_MODULES[NAME] = (builder.__name__, builder.fingerprint())
    factory = datasets.load.PackagedDatasetModuleFactory
    if getattr(factory.get_module, "registered_by", None) == __name__:
        return
    get_module, increase_load_count = factory.get_module, datasets.load.increase_load_count

    def get_module_without_files(self):
        if self.name != NAME:
            return get_module(self)
        if self.data_files is not None:
            raise ValueError(f"load_dataset({NAME!r}) takes no data_files; a configuration that reads takes data_dir")
        path, code_hash = packaged_modules._PACKAGED_DATASETS_MODULES[NAME]
        # empty but not None: load_dataset refuses a packaged module whose data_files are None
        return datasets.load.DatasetModule(path, code_hash, {"data_files": DataFilesDict(), "dataset_name": NAME})

    def increase_load_count_of_others(name):
        if name != NAME:
            increase_load_count(name)

    get_module_without_files.registered_by = __name__
    factory.get_module = get_module_without_files
    datasets.load.increase_load_count = increase_load_count_of_others
