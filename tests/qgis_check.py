"""Run by the Python of a machine's QGIS, not by pytest: open a package's project as QGIS does and say what is there.

python3 qgis_check.py plan.gpkg picture.png
"""

import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (
    QgsApplication,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsProject,
    QgsRenderContext,
    QgsVectorLayer,
)


def values(renderer):
    """What a renderer tells apart."""
    if renderer.type() == "categorizedSymbol":
        return [[c.value(), c.label(), c.symbol().color().name()] for c in renderer.categories()]
    if renderer.type() == "graduatedSymbol":
        return [[r.lowerValue(), r.upperValue(), r.label(), r.symbol().width()] for r in renderer.ranges()]
    return []


def drawn(layer):
    """How many of the first features get a symbol, and how many there were."""
    renderer, context = layer.renderer().clone(), QgsRenderContext()
    context.expressionContext().appendScopes([])
    renderer.startRender(context, layer.fields())
    features = [feature for feature, _ in zip(layer.getFeatures(), range(500))]
    found = []
    for feature in features:
        context.expressionContext().setFeature(feature)
        context.expressionContext().setFields(layer.fields())
        found.append(renderer.symbolForFeature(feature, context) is not None)
    renderer.stopRender(context)
    return [sum(found), len(found)]


def told(layer):
    return {
        "name": layer.name(),
        "valid": layer.isValid(),
        "rows": layer.featureCount(),
        "crs": layer.crs().authid(),
        "source": layer.source(),
        "only": layer.subsetString(),
        "renderer": layer.renderer().type(),
        "values": values(layer.renderer()),
        "drawn": drawn(layer),
        "aliases": {f.name(): layer.attributeAlias(i) for i, f in enumerate(layer.fields())},
    }


def main(file, picture):
    app = QgsApplication([], False)
    app.initQgis()
    project = QgsProject.instance()
    found = {"read": project.read(f"geopackage:{file}?projectName=plan"), "error": project.error()}
    root = project.layerTreeRoot()
    found["title"], found["crs"] = project.title(), project.crs().authid()
    found["groups"] = {
        group.name(): [[node.name(), node.isVisible(), told(node.layer())] for node in group.findLayers()]
        for group in root.children()
    }
    themes = project.mapThemeCollection()
    found["themes"] = {
        name: sorted(layer.name() for layer in themes.mapThemeVisibleLayers(name)) for name in themes.mapThemes()
    }
    found["names"] = sorted(layout.name() for layout in project.layoutManager().printLayouts())
    layout = project.layoutManager().layoutByName("Plan")
    items = layout.items()
    found["labels"] = [item.currentText() for item in items if isinstance(item, QgsLayoutItemLabel)]
    found["items"] = sorted(type(item).__name__ for item in items if type(item).__name__.startswith("QgsLayoutItem"))
    for item in items:
        if isinstance(item, QgsLayoutItemMap):
            found["scale"], found["printed"] = item.scale(), [layer.name() for layer in item.layers()]
        if isinstance(item, QgsLayoutItemLegend):
            found["legend"] = [node.name() for node in item.model().rootGroup().findLayers()]
            nodes = [n for tree in item.model().rootGroup().findLayers() for n in item.model().layerLegendNodes(tree)]
            found["legend_labels"] = [node.data(0) for node in nodes]
    found["exported"] = QgsLayoutExporter(layout).exportToImage(picture, QgsLayoutExporter.ImageExportSettings())
    # As somebody drags the layers in, without the project: styles of the package are used by themselves.
    found["alone"], found["styles"] = {}, {}
    for name in sorted(
        {layer["source"].split("layername=")[1].split("|")[0] for g in found["groups"].values() for *_, layer in g}
    ):
        layer = QgsVectorLayer(f"{file}|layername={name}", name, "ogr")
        found["alone"][name] = told(layer)
        count, _, names, *_ = layer.listStylesInDatabase()
        found["styles"][name] = sorted(names[:count])
    print("FOUND" + json.dumps(found, default=str), flush=True)
    os._exit(0)  # QGIS stumbles over its own layers on the way out


if __name__ == "__main__":
    main(*sys.argv[1:])
